import { z } from 'zod';
import { Corrupt, ERROR_CODES, toWire, type WireError } from '../../errors.js';
import { accepts } from '../../wire/accepts.js';
import { decode, encode } from '../../wire/msgpack.js';

/** How the headers of messages are written and read. */

/** A type of message: its code in frames, and the format of its header. */
export interface Kind<Fields> {
  readonly code: number;
  pack(fields: Fields): Uint8Array;
  /** @throws Corrupt that names the wrong field. */
  read(header: Uint8Array): Fields;
}

/** A header that is a MessagePack map. `toMap` makes the map where the fields are not the map themselves. */
export function kind<Fields>(
  code: number,
  schema: z.ZodType<Fields>,
  toMap: (fields: Fields) => unknown = (fields) => fields,
): Kind<Fields> {
  const read = (header: Uint8Array) => {
    const sent = decode(header);
    if (accepts(schema, sent)) return sent;
    const fields = schema.safeParse(sent);
    if (fields.success) return fields.data;
    const [issue] = fields.error.issues;
    throw new Corrupt(`a peer sent a wrong header: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
  };
  return { code, pack: (fields) => encode(toMap(fields)), read };
}

export const AnyBytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes');

export const Bytes = (length: number) =>
  AnyBytes.refine((bytes) => bytes.byteLength === length, `must be ${length} bytes`);

export const Empty: z.ZodType<unknown> = z.strictObject({});

export const Failure = z.strictObject({
  code: z.enum(ERROR_CODES),
  message: z.string().max(1024),
  param: z.string().max(128).optional(),
});

/** Ends a request; with request 0, says why the connection is being closed. Every purpose of a connection has it. */
export const ERROR = kind(38, Failure);

/** Characters of an error's message that fit a frame of the handshake, however many bytes each takes. */
const MESSAGE_CHARS = 240;

/** An error in the form and length in which a peer is told of it. */
export function failureOf(error: unknown): WireError {
  const { code, message, param } = toWire(error);
  const short = message.length > MESSAGE_CHARS ? `${message.slice(0, MESSAGE_CHARS)}…` : message;
  return param === undefined ? { code, message: short } : { code, message: short, param: param.slice(0, 64) };
}

/** The union of the messages of a table of kinds. */
export type MessageOf<T> = { [K in keyof T]: T[K] extends Kind<infer Fields> ? { type: K } & Fields : never }[keyof T];

/** The messages of one direction of a connection, by a table from type to kind. */
export class Direction<M extends { type: string }> {
  private readonly byCode = new Map<number, M['type']>();
  private readonly kinds: Record<string, Kind<unknown>>;

  constructor(kinds: object) {
    this.kinds = kinds as Record<string, Kind<unknown>>;
    for (const [type, { code }] of Object.entries(this.kinds)) this.byCode.set(code, type);
  }

  /** The type of message that a frame carries. @throws Corrupt if this direction has no message with this code. */
  typeOf(code: number): M['type'] {
    const type = this.byCode.get(code);
    if (type === undefined) throw new Corrupt(`a peer sent a frame of type ${code}, which has no meaning here`);
    return type;
  }

  /** Code and header of the frame for a message. */
  pack(message: M): { code: number; header: Uint8Array } {
    const { type, ...fields } = message;
    const { code, pack } = this.kinds[type]!;
    return { code, header: pack(fields) };
  }

  /** @throws Corrupt that names the wrong field. */
  read(type: M['type'], header: Uint8Array): M {
    return { type, ...(this.kinds[type]!.read(header) as object) } as M;
  }
}
