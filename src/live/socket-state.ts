import type { AnyFlow } from '../flow/flow.js';
import type { Run } from '../run/run.js';
import type { LiveRun } from './live-run.js';
import { assignTo, type LiveSocket, quietly } from './live-socket.js';
import { SocketKey } from './socket-key.js';

/** When a run is to begin. */
export interface LiveStartOptions {
  /** A UUID of one's own; the same one again starts nothing new. */
  readonly runId?: string;
  /** Seconds from now. */
  readonly delay?: number;
  readonly runAt?: Date;
  /** What lists can find the run by. */
  readonly tags?: readonly string[];
}

/** What LiveClient needs of pgflow. */
export interface LivePgFlow {
  startFlow(flow: AnyFlow | string, input: any, options?: LiveStartOptions): Promise<Run>;
  enqueue(job: AnyFlow | string, input: any, options?: LiveStartOptions): Promise<Run>;
  track(runId: string): Promise<LiveRun>;
  getRun(runId: string): Promise<Run | null>;
}

/**
 * What LiveClient keeps of one socket. It is found again by the sockets that LiveClient was given
 * and those that their `assign` returned.
 *
 * Modes: `open → disposed`.
 */
export class SocketState {
  static readonly #states = new WeakMap<object, SocketState>();
  #mode: 'open' | 'disposed' = 'open';
  readonly #keys = new Map<string, SocketKey>();
  readonly #pgflows = new Map<string, LivePgFlow>();
  /** The last that was given; undefined when none ever was. */
  #pgflow: LivePgFlow | undefined;
  /** The newest that is known, where `assign` returns new ones. */
  #socket: LiveSocket;
  readonly #stopOnClose: unknown;

  private constructor(socket: LiveSocket) {
    this.#socket = socket;
    SocketState.#states.set(socket, this);
    this.#stopOnClose = quietly(() => socket.onClose?.(() => this.dispose()));
  }

  /** The state of this socket; undefined before `init` and after `dispose`. */
  static of(socket: LiveSocket): SocketState | undefined {
    const state = SocketState.#states.get(socket);
    return state?.isOpen ? state : undefined;
  }

  static init(socket: LiveSocket, as: string, pgflow: LivePgFlow | null | undefined): SocketState {
    const state = SocketState.of(socket) ?? new SocketState(socket);
    if (!pgflow) return state;
    state.#pgflow = pgflow;
    state.#pgflows.set(as, pgflow);
    return state;
  }

  get isOpen(): boolean {
    return this.#mode === 'open';
  }

  /** The pgflow that the key was initialised with; a key that was not takes the last one. */
  pgflowOf(as: string): LivePgFlow | undefined {
    return this.#pgflows.get(as) ?? this.#pgflow;
  }

  key(as: string): SocketKey {
    const known = this.#keys.get(as);
    if (known !== undefined) return known;
    const key = new SocketKey(as, {
      mailbox: () => {
        const socket = this.#socket;
        return typeof socket.sendInfo === 'function' ? (message) => socket.sendInfo?.(message) : null;
      },
      assign: (values) => {
        this.assign(this.#socket, values);
      },
    });
    this.#keys.set(as, key);
    return key;
  }

  knownKey(as: string): SocketKey | undefined {
    return this.#keys.get(as);
  }

  /** What a message about that run changes. */
  handle(runId: string): Record<string, unknown> {
    const values: Record<string, unknown> = {};
    for (const key of this.#keys.values()) {
      const run = key.handle(runId);
      if (run !== null) values[key.as] = run;
    }
    return values;
  }

  assign<S extends LiveSocket>(socket: S, values: Record<string, unknown>): S {
    const next = assignTo(socket, values);
    this.#socket = next;
    SocketState.#states.set(next, this);
    return next;
  }

  dispose(): void {
    if (this.isOpen) this.#enter('disposed');
  }

  #enter(mode: 'disposed'): void {
    this.#mode = mode;
    for (const key of this.#keys.values()) key.drop();
    this.#keys.clear();
    const stop = this.#stopOnClose;
    if (typeof stop === 'function') quietly(() => stop());
  }
}
