import { defineConfig } from 'vitest/config';

// Some tests load ONNX Runtime by onnxruntime-node, beside `src/ort`, which turns its telemetry off.
process.env.ORT_DISABLE_TELEMETRY = '1';

export default defineConfig({
  test: {
    // `npm run coverage`. Processes that tests start are not measured.
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts', 'workers/**/*.ts', 'coordinator/**/*.ts'],
      reporter: ['text-summary', 'json-summary'],
      reportOnFailure: true,
      thresholds: { lines: 85 },
    },
    globalSetup: ['test/support/software-vulkan.ts'],
    // One group after the other: few machines can run several at once.
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/contract/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: '100%',
        },
      },
      {
        // Whole simulated fleets: they use all processors by themselves.
        test: {
          name: 'sim',
          include: ['test/sim/**/*.test.ts'],
          testTimeout: 600_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      ...[
        { name: 'fleet', folder: 'test/fleet' },
        { name: 'deploy', folder: 'test/deploy' },
      ].map(({ name, folder }) => ({
        test: {
          name,
          include: [`${folder}/**/*.test.ts`],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Fleets mostly wait: for a death to be noticed, an outage to end.
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      })),
      {
        // What measures, or takes minutes: `npm run test:long`.
        test: {
          name: 'long',
          include: ['test/long/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
