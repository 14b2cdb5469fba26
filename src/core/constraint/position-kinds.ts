import type { Frame, Position } from './machine.js';
import type { StateEdges } from './program.js';
import { stateClasses } from './state-classes.js';

/** Positions of one kind are those that no text of so many bytes tells apart, such as those in a bounded text that is far from its bound. */
export class PositionKinds {
  private readonly classOf: Uint16Array;
  private readonly frames = new Map<Frame, number>();
  private readonly frameKinds = new Map<string, number>();

  constructor(states: readonly StateEdges[], bytes: number) {
    this.classOf = stateClasses(states, bytes);
  }

  /** Names the kind of a position. Names are valid until `forget`. */
  kindOf({ configs, complete }: Position): string {
    const kinds = configs.map(({ state, frame }) => `${this.classOf[state]} ${this.frameKind(frame)}`);
    return `${complete} ${[...new Set(kinds)].sort().join()}`;
  }

  /** Drops what it knows of frames. */
  forget(): void {
    this.frames.clear();
    this.frameKinds.clear();
  }

  private frameKind(frame: Frame | null): number {
    if (frame === null) return 0;
    const known = this.frames.get(frame);
    if (known !== undefined) return known;
    const key = `${this.classOf[frame.to]} ${this.frameKind(frame.outer)}`;
    const kind = this.frameKinds.get(key) ?? this.frameKinds.size + 1;
    this.frameKinds.set(key, kind);
    this.frames.set(frame, kind);
    return kind;
  }
}
