import {
  allocateScratch,
  loadFirstLibrary,
  type NativeLibrary,
  NULL,
  type Pointer,
  viewMemory,
} from '../../native/ffi.js';

/** Lists the Vulkan devices of this machine, which are the adapters that WebGPU can use. */

/** A Vulkan device. */
export interface Adapter {
  readonly name: string;
  readonly type: 'discrete' | 'integrated' | 'virtual' | 'software' | 'other';
  /** The size of its device-local heaps; for an integrated GPU they lie in the host's memory. */
  readonly memoryBytes: number;
  /** The least number of invocations of a subgroup; null if the driver is older than Vulkan 1.1, which says it. */
  readonly subgroupLanes: number | null;
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
const VULKAN_1_1 = (1 << 22) | (1 << 12);
/** `VkStructureType` */
const STRUCTURES = {
  instanceCreateInfo: 1,
  properties2: 1_000_059_001,
  subgroup: 1_000_094_000,
  subgroupSizeControl: 1_000_225_000,
} as const;

/**
 * The Vulkan devices of this machine, the WebGPU provider's first, or a string that says why there are none. On systems other than
 * Linux the provider does not use Vulkan; the result is then one adapter of unknown type.
 */
export function vulkanAdapters(): readonly Adapter[] | string {
  if (process.platform !== 'linux')
    return [{ name: `the adapter of ${process.platform}`, type: 'other', memoryBytes: 0, subgroupLanes: null }];
  const library = loadFirstLibrary(LIBRARY);
  if (library === null) return `the Vulkan loader (${LIBRARY}) is not installed`;
  const create = library.function<[Pointer, null, BigUint64Array], number>('vkCreateInstance', 'int', [
    'uintptr_t',
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
      const subgroupLanes = readVersion(properties) < VULKAN_1_1 ? null : subgroupLanesOf(library, Number(device));
      return { ...readProperties(properties), memoryBytes: readMemory(memory), subgroupLanes };
    });
    return adapters.sort((a, b) => PREFERENCE.indexOf(a.type) - PREFERENCE.indexOf(b.type));
  } finally {
    if (handle !== NULL) destroy(handle, null);
  }
}

const STRUCTURES_BYTES = 2048;
let structures: Pointer = NULL;

/** Native memory for structures that point to each other, zeroed. It is allocated once for the process. */
function zeroedStructures(): { address: Pointer; view: DataView } {
  if (structures === NULL) structures = allocateScratch(STRUCTURES_BYTES);
  const bytes = viewMemory(structures, STRUCTURES_BYTES).fill(0);
  return { address: structures, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
}

/** A `VkInstanceCreateInfo` for Vulkan 1.1, without layers or extensions. Valid until the next structures are made. */
function instanceCreateInfo(): Pointer {
  const { address, view } = zeroedStructures();
  const application = 64;
  view.setUint32(0, STRUCTURES.instanceCreateInfo, true);
  view.setBigUint64(24, BigInt(address + application), true);
  view.setUint32(application + 44, VULKAN_1_1, true);
  return address;
}

/** Asks a device of Vulkan 1.1 or later; null if it does not say. */
function subgroupLanesOf(library: NativeLibrary, device: Pointer): number | null {
  const { address, view } = zeroedStructures();
  const [subgroup, control] = [1024, 1088];
  const chain = (at: number, type: number, next: number | null) => {
    view.setUint32(at, type, true);
    if (next !== null) view.setBigUint64(at + 8, BigInt(address + next), true);
  };
  chain(0, STRUCTURES.properties2, subgroup);
  chain(subgroup, STRUCTURES.subgroup, control);
  chain(control, STRUCTURES.subgroupSizeControl, null);
  library.function<[Pointer, Pointer], void>('vkGetPhysicalDeviceProperties2', 'void', ['uintptr_t', 'uintptr_t'])(
    device,
    address,
  );
  return leastLanes(view.getUint32(subgroup + 16, true), view.getUint32(control + 16, true));
}

/**
 * The least number of lanes by `subgroupSize` of `VkPhysicalDeviceSubgroupProperties` and `minSubgroupSize` of
 * `VkPhysicalDeviceSubgroupSizeControlProperties`, which is 0 if the driver does not know that structure. @internal exported for tests.
 */
export function leastLanes(usual: number, least: number): number | null {
  if (usual === 0) return null;
  return least === 0 ? usual : Math.min(usual, least);
}

/** Reads `VkPhysicalDeviceProperties.apiVersion`. */
function readVersion(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
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
