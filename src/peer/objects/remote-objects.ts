import type { z } from 'zod';
import { orAbort } from '../../async/abort.js';
import { Corrupt } from '../../errors.js';
import type { Expiry, ObjectInfo, WriteCondition } from '../../objects/object.js';
import type { ObjectName } from '../../objects/object-name.js';
import type {
  CopyOutcome,
  Differing,
  Held,
  ListPage,
  ObjectCopy,
  ObjectPeer,
  PartDigests,
  ReadOptions,
  ReadOutcome,
  RemoveOptions,
  StoreUse,
  WriteOptions,
  WriteOutcome,
} from '../../objects/object-node.js';
import type { ObjectValue } from '../../objects/object-value.js';
import type { SharedOutcome } from '../../objects/shared-object.js';
import type { Version } from '../../objects/version.js';
import { accepts } from '../../wire/accepts.js';
import { AskExchange } from './ask-exchange.js';
import type { ObjectLink } from './object-link.js';
import {
  LISTED,
  LOOKED_UP,
  type ObjectClientMessage,
  OFFERED,
  type QuestionIn,
  WireCopyOutcome,
  WireCount,
  WireDiffering,
  WireLook,
  WireOwed,
  WirePage,
  WireShared,
  WireUse,
  WireVersions,
  WireWanted,
  WireWriteOutcome,
} from './object-messages.js';
import { ReadExchange } from './read-exchange.js';
import { UploadExchange } from './upload-exchange.js';

/** The objects of a worker at the other end of a link. */
export class RemoteObjects implements ObjectPeer {
  constructor(private readonly link: () => ObjectLink) {}

  async read({ space, key }: ObjectName, options: ReadOptions, signal: AbortSignal): Promise<ReadOutcome> {
    const exchange = new ReadExchange({ space, key, ...options });
    await this.link().start(exchange, signal);
    try {
      return await orAbort(exchange.result, signal);
    } catch (error) {
      exchange.close();
      throw error;
    }
  }

  async write(
    { space, key }: ObjectName,
    value: ObjectValue,
    options: WriteOptions,
    signal: AbortSignal,
  ): Promise<WriteOutcome> {
    const head = { type: 'write', space, key, bytes: value.bytes, ...options } as const;
    return checked(WireWriteOutcome, await this.upload(head, value, signal));
  }

  share({ space, key }: ObjectName, host: string, signal: AbortSignal): Promise<SharedOutcome> {
    return this.ask(WireShared, { op: 'share', space, key, host }, signal);
  }

  async look(names: readonly ObjectName[], signal: AbortSignal): Promise<(ObjectInfo | null)[]> {
    const ask = (some: readonly ObjectName[]) => this.ask(WireLook, { op: 'look', names: wireNames(some) }, signal);
    return (await Promise.all(runs(names, LOOKED_UP).map(ask))).flat();
  }

  remove({ space, key }: ObjectName, { condition }: RemoveOptions, signal: AbortSignal): Promise<WriteOutcome> {
    return this.ask(WireWriteOutcome, { op: 'remove', space, key, condition }, signal);
  }

  retime(
    { space, key }: ObjectName,
    expiry: Expiry,
    condition: WriteCondition,
    signal: AbortSignal,
  ): Promise<WriteOutcome> {
    return this.ask(WireWriteOutcome, { op: 'retime', space, key, expiry, condition }, signal);
  }

  list(space: string, from: number, least: number, signal: AbortSignal): Promise<ListPage> {
    return this.ask(WirePage, { op: 'list', space, from, least: Math.min(least, LISTED) }, signal);
  }

  count(space: string, signal: AbortSignal): Promise<number> {
    return this.ask(WireCount, { op: 'count', space }, signal);
  }

  use(signal: AbortSignal): Promise<StoreUse> {
    return this.ask(WireUse, { op: 'use' }, signal);
  }

  async flush(space: string, signal: AbortSignal): Promise<void> {
    await this.answer({ op: 'flush', space }, signal);
  }

  async versions(names: readonly ObjectName[], signal: AbortSignal): Promise<(Version | null)[]> {
    const ask = (some: readonly ObjectName[]) =>
      this.ask(WireVersions, { op: 'versions', names: wireNames(some) }, signal);
    return (await Promise.all(runs(names, LOOKED_UP).map(ask))).flat();
  }

  async take(copy: ObjectCopy, signal: AbortSignal): Promise<CopyOutcome> {
    const { space, key } = copy.name;
    switch (copy.type) {
      case 'value': {
        const head = { type: 'copy', space, key, info: copy.info } as const;
        return checked(WireCopyOutcome, await this.upload(head, copy.value, signal));
      }
      case 'deleted':
        return this.ask(WireCopyOutcome, { op: 'deleted', space, key, version: copy.version }, signal);
      case 'retimed':
        return this.ask(WireCopyOutcome, { op: 'retimed', space, key, of: copy.of, info: copy.info }, signal);
    }
  }

  async wanted(held: readonly Held[], signal: AbortSignal): Promise<number[]> {
    const wire = held.map(({ hash, version }) => ({ hash: Buffer.from(hash, 'hex'), version }));
    const asked = runs(wire, OFFERED).map((some) => this.ask(WireWanted, { op: 'wanted', held: some }, signal));
    return (await Promise.all(asked)).flatMap((indices, run) => indices.map((index) => index + run * OFFERED));
  }

  owes(home: string, epoch: string, signal: AbortSignal): Promise<number | null> {
    return this.ask(WireOwed, { op: 'owes', home, epoch }, signal);
  }

  differing(home: string, own: PartDigests, signal: AbortSignal): Promise<Differing | null> {
    return this.ask(WireDiffering, { op: 'differing', home, ...own }, signal);
  }

  private async upload(
    head: Extract<ObjectClientMessage, { type: 'write' | 'copy' }>,
    value: ObjectValue,
    signal: AbortSignal,
  ): Promise<unknown> {
    const exchange = new UploadExchange(head, value);
    try {
      await this.link().start(exchange, signal);
    } catch (error) {
      exchange.abort();
      throw error;
    }
    return orAbort(exchange.result, signal);
  }

  private async ask<T>(schema: z.ZodType<T>, question: QuestionIn, signal: AbortSignal): Promise<T> {
    return checked(schema, await this.answer(question, signal));
  }

  private async answer(question: QuestionIn, signal: AbortSignal): Promise<unknown> {
    const exchange = new AskExchange(question);
    await this.link().start(exchange, signal);
    return orAbort(exchange.result, signal);
  }
}

function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  if (accepts(schema, value)) return value;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new Corrupt(`a peer sent a wrong answer: ${result.error.issues[0]?.message ?? ''}`);
}

function wireNames(names: readonly ObjectName[]) {
  return names.map(({ space, key }) => ({ space, key }));
}

function runs<T>(items: readonly T[], most: number): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < items.length; at += most) parts.push(items.slice(at, at + most));
  return parts;
}
