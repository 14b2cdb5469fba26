import { expect } from 'vitest';
import { CpuDevice } from '../../src/device/cpu/cpu-device.js';
import type { Device } from '../../src/device/device.js';
import { liveHandles } from '../../src/native/handle.js';
import { OrtRuntime } from '../../src/ort/runtime.js';
import { Value } from '../../src/ort/value.js';
import { RemoteDevice } from '../support/remote-device.js';
import { type DeviceHarness, deviceContract } from './device.contract.js';

function harness(wrap: (device: CpuDevice) => Device): DeviceHarness {
  const runtime = OrtRuntime.open();
  const values: Value[] = [];
  return {
    open: async (options) => wrap(new CpuDevice({ runtime, ...options })),
    supports: () => true,
    cases: (max) => max,
    tensor: async (_, { elementType }, shape, bytes) => {
      const value = Value.allocate(runtime, elementType, shape);
      value.bytes().set(bytes);
      values.push(value);
      return value;
    },
    read: async (value) => value.bytes(),
    close: () => {
      for (const value of values) value.release();
      runtime.release();
      // A closed device has freed everything.
      expect(liveHandles()).toEqual({});
    },
  };
}

deviceContract('cpu', () => harness((device) => device));
// The stand-in for a device with memory of its own, for machines without a GPU.
deviceContract('webgpu', () => harness((device) => new RemoteDevice(device)));
