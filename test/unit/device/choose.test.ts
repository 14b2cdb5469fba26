import { describe, expect, it } from 'vitest';
import { chooseDevice, type DeviceSurvey } from '../../../src/device/choose.js';
import type { Adapter } from '../../../src/device/webgpu/vulkan.js';
import { Refused } from '../../../src/errors.js';

const GPU: Adapter = { name: 'Some GPU', type: 'discrete', memoryBytes: 8e9, subgroupLanes: 32 };
const SOFTWARE: Adapter = { name: 'Some software', type: 'software', memoryBytes: 1e9, subgroupLanes: 4 };

function survey(over: Partial<DeviceSurvey> = {}): DeviceSurvey {
  return { providers: [], cudaMissing: 'its files are not here', adapters: 'there is no loader', ...over };
}

describe('the device of a worker', () => {
  it('is with auto CUDA, else WebGPU on a GPU, else the CPU', () => {
    const everything = survey({ cudaMissing: null, adapters: [GPU, SOFTWARE] });
    expect(chooseDevice('auto', everything)).toMatchObject({ provider: { name: 'cuda' } });
    expect(chooseDevice('auto', survey({ adapters: [GPU, SOFTWARE] }))).toMatchObject({
      provider: { name: 'webgpu' },
      why: 'auto takes webgpu on Some GPU (discrete): no cuda (its files are not here)',
    });
    expect(chooseDevice('auto', survey())).toMatchObject({
      provider: { name: 'cpu' },
      why: 'auto takes cpu: no cuda (its files are not here), no webgpu (there is no loader)',
    });
  });

  it('is never a software adapter unless requested', () => {
    const software = survey({ adapters: [SOFTWARE] });
    expect(chooseDevice('auto', software)).toMatchObject({ provider: { name: 'cpu' } });
    expect(chooseDevice('auto', software).why).toContain('Some software (software) is not known to be a GPU');
    expect(chooseDevice('webgpu', software)).toMatchObject({
      provider: { name: 'webgpu' },
      why: 'webgpu was asked for: Some software (software)',
    });
  });

  it('is the requested device, or a refusal that names the cause and the remedy', () => {
    expect(chooseDevice('cpu', survey({ cudaMissing: null })).provider.name).toBe('cpu');
    expect(chooseDevice('cuda', survey({ cudaMissing: null })).provider.name).toBe('cuda');
    expect(() => chooseDevice('cuda', survey())).toThrow(Refused);
    expect(() => chooseDevice('cuda', survey())).toThrow(
      /^CUDA provider not installed: its files are not here; fetch .*cuda12/,
    );
    expect(() => chooseDevice('webgpu', survey())).toThrow(/there is no loader; install the Vulkan loader/);
  });
});
