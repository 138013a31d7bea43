import type { Change } from '../run/change.js';

/** A run whose changes are this far out of order is read again instead. */
const MOST_CHANGES = 64;

/** Changes of one run that came before what they follow on, until that has come. Bounded. */
export class ChangeBuffer {
  #changes: Change[] = [];

  /** False when it is full: then the change is not kept, and only the row can tell. */
  add(change: Change): boolean {
    if (this.#changes.length >= MOST_CHANGES) return false;
    this.#changes.push(change);
    return true;
  }

  /** Takes out a change that follows on this seq; what that seq covers is dropped. */
  takeNext(seq: number): Change | null {
    if (this.#changes.length === 0) return null;
    this.#changes = this.#changes.filter((change) => change.seq > seq);
    const at = this.#changes.findIndex((change) => change.since <= seq);
    return at === -1 ? null : (this.#changes.splice(at, 1)[0] ?? null);
  }

  /** What is in it now, to be dropped when a read that begins now has been answered. */
  list(): ReadonlySet<Change> {
    return new Set(this.#changes);
  }

  drop(changes: ReadonlySet<Change>): void {
    this.#changes = this.#changes.filter((change) => !changes.has(change));
  }
}
