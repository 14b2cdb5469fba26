import { abortReason, orAbort } from '../../async/abort.js';
import { Cancelled, Corrupt, ShoalError } from '../../errors.js';
import { objectName } from '../../objects/object-name.js';
import { type ObjectBody, type ObjectPeer, WHOLE } from '../../objects/object-node.js';
import type { HubFile } from '../answers.js';
import { type HubId, hubIdText } from '../hub-id.js';
import { HubUnavailable } from '../retry.js';
import { LIST_BYTES, LIST_KEY, MODEL_SPACE, readSharedModel, type SharedModel } from './shared-model.js';

/** Finds a model among the files of members, and reads it from them. */

/** A member whose files can be read. */
export interface ModelMember {
  readonly id: string;
  readonly files: Pick<ObjectPeer, 'read'>;
}

/** A model that members have. */
export interface MembersModel extends Pick<SharedModel, 'commit' | 'files'> {
  /** The members, for people. */
  readonly from: string;
  /** The bytes of a file from an offset on. @throws HubUnavailable if the member that is asked cannot give them: ask again for another member's */
  bytes(
    id: HubId,
    commit: string,
    file: HubFile,
    fromByte: number,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>>;
}

/** The model of an id as the first of these members has it, and those that have the same commit; null if none has it. */
export async function findModel(
  members: readonly ModelMember[],
  id: HubId,
  signal: AbortSignal,
): Promise<MembersModel | null> {
  const having: { readonly member: ModelMember; readonly list: SharedModel }[] = [];
  for (const member of members) {
    const list = await listOf(member, signal);
    if (list !== null && isOf(list, id) && (having[0]?.list.commit ?? list.commit) === list.commit) {
      having.push({ member, list });
    }
  }
  const [first] = having;
  if (first === undefined) return null;
  const { commit, files } = first.list;
  const from = having.map(({ member }) => member.id).join(', ');
  const sources = having.map(({ member }) => member);
  let asked = 0;
  return {
    ...{ commit, files, from },
    bytes: (_, __, file, fromByte, stop) => fileOf(sources[asked++ % sources.length]!, id, file, fromByte, stop),
  };
}

function isOf({ repository, commit, revisions }: SharedModel, id: HubId): boolean {
  return repository === id.repository && (commit === id.revision || revisions.includes(id.revision));
}

/** The list of a member; null if it gives none, whatever the reason: there are others, and the hub. */
async function listOf({ id, files }: ModelMember, signal: AbortSignal): Promise<SharedModel | null> {
  try {
    const outcome = await files.read(nameOf(LIST_KEY), WHOLE, signal);
    if (outcome.type !== 'found') return null;
    const parts: Uint8Array[] = [];
    let byteLength = 0;
    for await (const part of partsOf(outcome.body, signal)) {
      byteLength += part.byteLength;
      if (byteLength > LIST_BYTES) throw new Corrupt(`the list of model files of ${id} is too long`);
      parts.push(Buffer.from(part));
    }
    return readSharedModel(Buffer.concat(parts), id);
  } catch (error) {
    if (signal.aborted) throw abortReason(signal);
    if (error instanceof ShoalError) return null;
    throw error;
  }
}

async function fileOf(
  { id: member, files }: ModelMember,
  id: HubId,
  { path, digest, byteLength }: HubFile,
  fromByte: number,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const cannot = (why: string, cause?: unknown) =>
    new HubUnavailable(`cannot load ${path} of ${hubIdText(id)} from worker ${member}: ${why}`, null, { cause });
  const failed = (error: unknown) => {
    if (signal.aborted) return abortReason(signal);
    return error instanceof ShoalError && !(error instanceof Cancelled) ? cannot(error.message, error) : error;
  };
  try {
    const outcome = await files.read(nameOf(digest), { ...WHOLE, from: fromByte }, signal);
    if (outcome.type !== 'found') throw cannot('it has no such file any more');
    if (outcome.info.bytes === byteLength) return explained(partsOf(outcome.body, signal), failed);
    outcome.body.close();
    throw cannot(`its file has ${outcome.info.bytes} bytes, not ${byteLength}`);
  } catch (error) {
    throw error instanceof HubUnavailable ? error : failed(error);
  }
}

async function* explained(
  parts: AsyncIterable<Uint8Array>,
  failed: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  try {
    yield* parts;
  } catch (error) {
    throw failed(error);
  }
}

/** The parts of a body. Each is valid until the next one is asked for. */
async function* partsOf(body: ObjectBody, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const piece = await orAbort(body.next(), signal);
      if (piece === null) return;
      try {
        yield piece.bytes;
      } finally {
        piece.release();
      }
    }
  } finally {
    body.close();
  }
}

function nameOf(key: string) {
  return objectName(MODEL_SPACE, Buffer.from(key, 'latin1'));
}
