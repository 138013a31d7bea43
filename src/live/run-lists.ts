import type { RunFilter } from '../run/run-list.js';
import { ListSignal } from './list-signal.js';
import type { LiveRuns } from './live-runs.js';
import { LiveRunsHandle } from './live-runs-handle.js';
import { PageReader } from './page-reader.js';
import { trackerClosed } from './run-errors.js';
import { RunReader } from './run-reader.js';
import type { ListSource, RunSource } from './source.js';
import { TopicSubscription } from './topic-subscription.js';
import { TrackedList } from './tracked-list.js';
import type { RunBus } from './tracker.js';
import { Watchdog } from './watchdog.js';

export interface RunListsOptions {
  readonly source: RunSource & ListSource;
  readonly pubsub: RunBus & { publish(topic: string, message: unknown): Promise<void> };
  /** The topic on which it is said that runs changed, whichever. */
  readonly topic: string;
  /** Seconds between two looks at the lists, though nothing was heard. Default 5. */
  readonly lookInterval?: number;
  /** Milliseconds that a list is kept after its last handle was closed. Default 1000. */
  readonly lingerMs?: number;
}

/** How long the first read waits for the bus. */
const SUBSCRIBE_MS = 1_000;

/**
 * Loads, shares and keeps the live lists of one process: one for equal filters, however many handles. Nothing is
 * subscribed and nothing asked while there is none.
 *
 * Modes: `open → closed`.
 */
export class RunLists {
  #mode: 'open' | 'closed' = 'open';
  readonly #options: RunListsOptions;
  readonly #pages: PageReader;
  readonly #runs: RunReader;
  readonly #signal: ListSignal;
  readonly #topic: TopicSubscription;
  readonly #watchdog: Watchdog;
  readonly #lists = new Map<string, TrackedList>();
  readonly #stopConnection: () => void;
  #isConnected = true;
  #isAnswering = true;

  constructor(options: RunListsOptions) {
    const { source, pubsub, topic } = options;
    this.#options = options;
    this.#pages = new PageReader(source);
    this.#runs = new RunReader(source, () => {});
    this.#signal = new ListSignal((message) => void this.#publish(message));
    this.#topic = new TopicSubscription(
      () => pubsub.subscribe(topic, (message) => void (this.#signal.isOwn(message) || this.#hear())),
      () => this.#doubt(),
    );
    this.#watchdog = new Watchdog(
      options.lookInterval ?? 5,
      () => this.#lists.size > 0,
      async () => this.#doubt(),
    );
    this.#stopConnection = pubsub.onConnection?.((connected) => this.#setConnected(connected)) ?? (() => {});
  }

  /**
   * A handle on the list, loaded.
   *
   * @throws {PgFlowError} `CLOSED`; what the source throws when it cannot be read.
   */
  async track(filter: RunFilter): Promise<LiveRuns> {
    if (this.#mode === 'closed') throw trackerClosed();
    const key = JSON.stringify([
      filter.flow ?? null,
      filter.status ?? null,
      filter.tag ?? null,
      filter.limit,
    ]);
    const list = this.#lists.get(key) ?? this.#open(key, filter);
    list.hold();
    try {
      await list.loaded;
      return new LiveRunsHandle(list);
    } catch (error) {
      list.release();
      throw error;
    }
  }

  /** This process started, changed or deleted runs: its lists hear of it, and those of other processes. */
  tell(): void {
    this.#hear();
    this.#signal.tell();
  }

  /** Ends all lists. Idempotent. */
  close(): void {
    if (this.#mode === 'open') this.#enter('closed');
  }

  #open(key: string, filter: RunFilter): TrackedList {
    const list = new TrackedList(filter, {
      pages: this.#pages,
      runs: this.#runs,
      lingerMs: this.#options.lingerMs ?? 1000,
      subscribed: () => this.#topic.openWithin(SUBSCRIBE_MS),
      isConnected: () => this.#isConnected && this.#isAnswering && this.#topic.isOpen,
      onAnswer: (answers) => this.#setAnswering(answers),
      onEnded: () => {
        this.#lists.delete(key);
        this.#watchdog.adjust();
        if (this.#lists.size === 0) this.#topic.close();
      },
    });
    this.#lists.set(key, list);
    this.#watchdog.adjust();
    return list;
  }

  async #publish(message: unknown): Promise<void> {
    try {
      await this.#options.pubsub.publish(this.#options.topic, message);
    } catch {
      // It is heard of by the next look then.
    }
  }

  #hear(): void {
    for (const list of this.#lists.values()) list.hear();
  }

  /** Word may have been missed. */
  #doubt(): void {
    if (this.#lists.size === 0) return;
    void this.#topic.open();
    this.#hear();
    this.#refreshFreshness();
  }

  #setConnected(connected: boolean): void {
    if (connected === this.#isConnected || this.#mode === 'closed') return;
    this.#isConnected = connected;
    if (connected) this.#doubt();
    else this.#refreshFreshness();
  }

  #setAnswering(answering: boolean): void {
    if (answering === this.#isAnswering || this.#mode === 'closed') return;
    this.#isAnswering = answering;
    this.#refreshFreshness();
  }

  #refreshFreshness(): void {
    for (const list of this.#lists.values()) list.refreshFreshness();
  }

  #enter(mode: 'closed'): void {
    this.#mode = mode;
    this.#stopConnection();
    this.#watchdog.close();
    this.#signal.close();
    for (const list of [...this.#lists.values()]) list.end(trackerClosed());
  }
}
