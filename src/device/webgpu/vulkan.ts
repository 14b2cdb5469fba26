import { loadFirstLibrary, NULL, type Pointer } from '../../native/ffi.js';

/** Lists the Vulkan devices of this machine, which are the adapters that WebGPU can use. */

/** A Vulkan device. */
export interface Adapter {
  readonly name: string;
  readonly type: 'discrete' | 'integrated' | 'virtual' | 'software' | 'other';
  /** The size of its device-local heaps; for an integrated GPU they lie in the host's memory. */
  readonly memoryBytes: number;
}

/** `VkPhysicalDeviceType` */
const TYPES = ['other', 'integrated', 'discrete', 'virtual', 'software'] as const;
/** The order in which the WebGPU provider prefers types. */
const PREFERENCE: readonly Adapter['type'][] = ['discrete', 'integrated', 'virtual', 'other', 'software'];

const LIBRARY = ['libvulkan.so.1'];
const SUCCESS = 0;
/** More than any machine has. */
const MAX_DEVICES = 64;
const HEAP_DEVICE_LOCAL = 1;

/**
 * The Vulkan devices of this machine, that of the WebGPU provider first, or a string that says why there are none. On systems other than
 * Linux the provider does not use Vulkan, and one adapter of unknown type stands for whatever it finds.
 */
export function vulkanAdapters(): readonly Adapter[] | string {
  if (process.platform !== 'linux')
    return [{ name: `the adapter of ${process.platform}`, type: 'other', memoryBytes: 0 }];
  const library = loadFirstLibrary(LIBRARY);
  if (library === null) return `the Vulkan loader (${LIBRARY}) is not installed`;
  const create = library.function<[Uint8Array, null, BigUint64Array], number>('vkCreateInstance', 'int', [
    'void *',
    'void *',
    'void *',
  ]);
  const instance = new BigUint64Array(1);
  if (create(instanceCreateInfo(), null, instance) !== SUCCESS) return 'no Vulkan driver is installed';
  const handle = Number(instance[0]);
  const destroy = library.function<[Pointer, null], void>('vkDestroyInstance', 'void', ['uintptr_t', 'void *']);
  try {
    const list = library.function<[Pointer, Uint32Array, BigUint64Array], number>('vkEnumeratePhysicalDevices', 'int', [
      'uintptr_t',
      'void *',
      'void *',
    ]);
    const count = Uint32Array.of(MAX_DEVICES);
    const devices = new BigUint64Array(MAX_DEVICES);
    if (list(handle, count, devices) < SUCCESS || count[0] === 0) return 'Vulkan finds no device';
    const query = (name: string) =>
      library.function<[Pointer, Uint8Array], void>(name, 'void', ['uintptr_t', 'void *']);
    const getProperties = query('vkGetPhysicalDeviceProperties');
    const getMemory = query('vkGetPhysicalDeviceMemoryProperties');
    const adapters = Array.from(devices.subarray(0, count[0]), (device) => {
      const [properties, memory] = [new Uint8Array(1024), new Uint8Array(1024)];
      getProperties(Number(device), properties);
      getMemory(Number(device), memory);
      return { ...readProperties(properties), memoryBytes: readMemory(memory) };
    });
    return adapters.sort((a, b) => PREFERENCE.indexOf(a.type) - PREFERENCE.indexOf(b.type));
  } finally {
    if (handle !== NULL) destroy(handle, null);
  }
}

/** A `VkInstanceCreateInfo` without layers or extensions: structure type 1, all other fields zero. */
function instanceCreateInfo(): Uint8Array {
  const info = new Uint8Array(64);
  info[0] = 1;
  return info;
}

/** Reads `VkPhysicalDeviceProperties`: `deviceType` at byte 16, `deviceName` from byte 20 on. @internal exported for tests. */
export function readProperties(bytes: Uint8Array): Pick<Adapter, 'name' | 'type'> {
  const type = TYPES[new DataView(bytes.buffer, bytes.byteOffset).getUint32(16, true)] ?? 'other';
  const name = bytes.subarray(20, 20 + 256);
  return { type, name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))) };
}

/** Sums the device-local heaps of `VkPhysicalDeviceMemoryProperties`: their count at byte 260; from 264 on size (uint64) and flags, 16 bytes each. @internal exported for tests. */
export function readMemory(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let sum = 0;
  for (let heap = 0; heap < Math.min(view.getUint32(260, true), 16); heap += 1) {
    const at = 264 + 16 * heap;
    if ((view.getUint32(at + 8, true) & HEAP_DEVICE_LOCAL) !== 0) sum += Number(view.getBigUint64(at, true));
  }
  return sum;
}
