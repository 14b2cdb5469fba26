import { KVClient } from 'shoal/client';
import { layerOf, url } from './layer.js';

// Round trips of one layer in each encoding: what is stored, and what it costs in precision.
// shoal up, then: node examples/kv-cache/serializer.js

const ENCODINGS = [
  {},
  { compression: 'lz4' },
  { compression: 'zstd' },
  { cast: 'bfloat16' },
  { cast: 'int8' },
  { cast: 'float8e4m3fn' },
  { cast: 'int8', compression: 'zstd' },
];

/** The number that 16 bits are as float16. All those of this example are normal. */
const half = (bits) => (bits & 0x8000 ? -1 : 1) * 2 ** (((bits >> 10) & 31) - 15) * (1 + (bits & 1023) / 1024);
const numbers = ({ bytes }) => Array.from(new Uint16Array(bytes.slice().buffer), half);

const layer = layerOf(1);
const own = numbers(layer.k);
console.log('encoding            stored bytes  largest error');
for (const encoding of ENCODINGS) {
  const kv = new KVClient(url, { model: 'example/serializer', encoding, ttlS: 60 });
  await kv.put('round trip', 0, layer);
  const { k } = await kv.get('round trip', 0);
  const { bytesWritten } = await kv.stats();
  const read = numbers({ bytes: new Uint8Array(k.bytes) });
  const error = own.reduce((most, value, i) => Math.max(most, Math.abs(value - read[i])), 0);
  const name = [encoding.cast, encoding.compression].filter(Boolean).join(' + ') || 'as it is';
  console.log(`${name.padEnd(20)}${String(bytesWritten).padEnd(14)}${error.toFixed(6)}`);
  if (encoding.cast === undefined && error !== 0) process.exitCode = 1;
}
