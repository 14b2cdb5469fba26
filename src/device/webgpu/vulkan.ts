import { loadFirstLibrary, NULL, type Pointer } from '../../native/ffi.js';

/** A device that Vulkan has, as far as it matters to whoever chooses one. */
export interface Adapter {
  readonly name: string;
  readonly type: 'discrete' | 'integrated' | 'virtual' | 'software' | 'other';
  /** Its own memory; of the host's for one that shares it. */
  readonly memoryBytes: number;
}

/** `VkPhysicalDeviceType` */
const TYPES = ['other', 'integrated', 'discrete', 'virtual', 'software'] as const;
/** Which the WebGPU provider prefers. */
const PREFERENCE: readonly Adapter['type'][] = ['discrete', 'integrated', 'virtual', 'other', 'software'];

const LIBRARY = ['libvulkan.so.1'];
const SUCCESS = 0;
/** More than one are on no machine that this was made for. */
const MOST_DEVICES = 64;
const HEAP_DEVICE_LOCAL = 1;

/**
 * The Vulkan devices of this machine, the one that the WebGPU provider takes first; or why there are none. On other systems than Linux the provider has
 * other ways, of which nothing is known here.
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
  if (create(instanceCreateInfo(), null, instance) !== SUCCESS) return 'Vulkan has no driver on this machine';
  const handle = Number(instance[0]);
  const destroy = library.function<[Pointer, null], void>('vkDestroyInstance', 'void', ['uintptr_t', 'void *']);
  try {
    const list = library.function<[Pointer, Uint32Array, BigUint64Array], number>('vkEnumeratePhysicalDevices', 'int', [
      'uintptr_t',
      'void *',
      'void *',
    ]);
    const count = Uint32Array.of(MOST_DEVICES);
    const devices = new BigUint64Array(MOST_DEVICES);
    if (list(handle, count, devices) < SUCCESS || count[0] === 0) return 'Vulkan has no device on this machine';
    const ask = (name: string) => library.function<[Pointer, Uint8Array], void>(name, 'void', ['uintptr_t', 'void *']);
    const properties = ask('vkGetPhysicalDeviceProperties');
    const memory = ask('vkGetPhysicalDeviceMemoryProperties');
    const adapters = Array.from(devices.subarray(0, count[0]), (device) => {
      const said = { properties: new Uint8Array(1024), memory: new Uint8Array(1024) };
      properties(Number(device), said.properties);
      memory(Number(device), said.memory);
      return { ...readProperties(said.properties), memoryBytes: readMemory(said.memory) };
    });
    return adapters.sort((a, b) => PREFERENCE.indexOf(a.type) - PREFERENCE.indexOf(b.type));
  } finally {
    if (handle !== NULL) destroy(handle, null);
  }
}

/** `VkInstanceCreateInfo` that asks for nothing: structure type 1, all else zero. */
function instanceCreateInfo(): Uint8Array {
  const info = new Uint8Array(64);
  info[0] = 1;
  return info;
}

/** Of `VkPhysicalDeviceProperties`: `deviceType` at byte 16, `deviceName` from byte 20 on. */
export function readProperties(bytes: Uint8Array): Pick<Adapter, 'name' | 'type'> {
  const type = TYPES[new DataView(bytes.buffer, bytes.byteOffset).getUint32(16, true)] ?? 'other';
  const name = bytes.subarray(20, 20 + 256);
  return { type, name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))) };
}

/** The device's heaps of `VkPhysicalDeviceMemoryProperties`: their number at byte 260, from 264 on size (uint64) and flags, 16 bytes each. */
export function readMemory(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let sum = 0;
  for (let heap = 0; heap < Math.min(view.getUint32(260, true), 16); heap += 1) {
    const at = 264 + 16 * heap;
    if ((view.getUint32(at + 8, true) & HEAP_DEVICE_LOCAL) !== 0) sum += Number(view.getBigUint64(at, true));
  }
  return sum;
}
