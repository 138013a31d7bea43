import type { Run } from '../run/run.js';
import type { LiveRun } from './live-run.js';
import { type LiveMessage, quietly } from './live-socket.js';
import { after } from './timer.js';

/** What a key needs of its socket. */
export interface KeyPorts {
  /** Posts to the socket's mailbox; null when it has none. */
  mailbox(): ((message: LiveMessage) => unknown) | null;
  assign(values: Record<string, unknown>): void;
}

/** Milliseconds until a message that was not handled is sent again. */
const RESEND_MS = 1_000;

/**
 * One key of a socket: the run that it shows.
 *
 * Modes: `empty` → `shown` (a run that is not followed) | `following` → `empty`. While following with a
 * mailbox at most one message is under way; it is sent again each second until it is handled.
 */
export class SocketKey {
  readonly as: string;
  #mode: 'empty' | 'shown' | 'following' = 'empty';
  readonly #ports: KeyPorts;
  #run: Run | null = null;
  #live: LiveRun | null = null;
  #stopMessage: (() => void) | null = null;
  #asked = 0;
  #answered = 0;

  constructor(as: string, ports: KeyPorts) {
    this.as = as;
    this.#ports = ports;
  }

  /** The run that was assigned last. */
  get run(): Run | null {
    return this.#run;
  }

  /** Something is asked for on behalf of this key. The answer comes with this number. */
  ask(): number {
    return ++this.#asked;
  }

  /** Whether something that was asked for later has been answered: then this answer must be dropped. */
  isStale(asked: number): boolean {
    return asked < this.#answered;
  }

  /** Shows a run and, if it is live, follows it, in place of the one before. Returns what is to be assigned. */
  show(asked: number, run: Run, live: LiveRun | null): Record<string, unknown> {
    this.#answered = asked;
    this.#enter(live === null ? 'shown' : 'following', live);
    this.#run = run;
    return { [this.as]: run };
  }

  /** Shows nothing: the answer was that there is nothing to show. */
  clear(asked: number): void {
    this.#answered = asked;
    this.#enter('empty', null);
    this.#run = null;
  }

  /** Shows nothing; whatever was asked for is dropped when it comes. */
  drop(): void {
    this.clear(this.ask());
  }

  /** A message of the mailbox was handled: the run to assign, null if it is another's or not newer. */
  handle(runId: string): Run | null {
    if (this.#live?.runId !== runId) return null;
    this.#stopMessage?.();
    this.#stopMessage = null;
    return this.#takeNews();
  }

  #takeNews(): Run | null {
    const run = this.#live?.getSnapshot() ?? null;
    if (run === this.#run) return null;
    this.#run = run;
    return run;
  }

  #onNews(): void {
    if (this.#ports.mailbox() !== null) {
      if (this.#stopMessage === null) this.#post();
      return;
    }
    const run = this.#takeNews();
    if (run !== null) this.#ports.assign({ [this.as]: run });
  }

  #post(): void {
    const { runId, seq } = this.#live!.getSnapshot();
    // Before it is sent, because a mailbox may handle it at once.
    this.#stopMessage = after(RESEND_MS, () => this.#post());
    quietly(() => this.#ports.mailbox()?.({ type: 'pgflow', runId, seq }));
  }

  #enter(mode: 'empty' | 'shown' | 'following', live: LiveRun | null): void {
    this.#mode = mode;
    this.#stopMessage?.();
    this.#stopMessage = null;
    const before = this.#live;
    this.#live = live;
    if (this.#mode === 'following') live?.subscribe(() => this.#onNews());
    before?.close();
  }
}
