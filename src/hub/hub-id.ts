/** The id of a model on the hub, as users write it: `org/name`, or `org/name@revision`. */
export interface HubId {
  /** `org/name` */
  readonly repository: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

const DEFAULT_REVISION = 'main';
const PART = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$/;
const REVISION = /^[A-Za-z0-9_][A-Za-z0-9._/-]{0,254}$/;
/** The folders of the cache join the parts of a path by two dashes; two dots would leave a folder. */
const AMBIGUOUS = /--|\.\./;

/** Reads an id. Null for any other text. The hub's old ids without an organisation, such as `gpt2`, could be names of folders. */
export function parseHubId(text: string): HubId | null {
  const [name = '', revision = DEFAULT_REVISION, ...more] = text.split('@');
  const parts = name.split('/');
  if (more.length > 0 || parts.length !== 2 || AMBIGUOUS.test(text)) return null;
  if (!parts.every((part) => PART.test(part)) || name.endsWith('.git') || !REVISION.test(revision)) return null;
  return { repository: name, revision };
}

/** The id as a user would write it. */
export function hubIdText({ repository, revision }: HubId): string {
  return revision === DEFAULT_REVISION ? repository : `${repository}@${revision}`;
}
