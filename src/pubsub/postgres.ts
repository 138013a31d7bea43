import { PgFlowError } from '../errors.js';
import { callWatcher } from '../run/call-watcher.js';
import { checkPayload } from './bus-options.js';
import { MOST_ENTRY_BYTES, Outbox } from './outbox.js';
import type { PubSub } from './pubsub.js';

/** What the adapter needs of the database: one channel, and a connection that listens on it. */
export interface NotificationChannel {
  /** Sends all payloads, each at most 7,999 bytes, in one statement. */
  notify(payloads: readonly string[]): Promise<void>;
  /** Resolves when it listens; `onLost` is called once if that connection ends by itself. */
  listen(onPayload: (payload: string) => void, onLost: (error: Error) => void): Promise<ChannelListener>;
}

export interface ChannelListener {
  /** A round trip on the listening connection; rejects when it is dead, or listens no more. */
  ping(): Promise<void>;
  stop(): Promise<void>;
}

export interface PostgresPubSubOptions {
  /** `inline` (default): small changes travel whole. `hint`: only which run moved, for databases that others share. */
  readonly payload?: 'inline' | 'hint';
}

/** Made by `postgresPubSub()`, opened by `createPgFlow` on its own database. */
export interface PostgresPubSub {
  readonly kind: 'postgres';
  open(channel: NotificationChannel): PubSub;
}

/**
 * Pubsub over PostgreSQL's LISTEN and NOTIFY: one listening connection per process, whatever the number
 * of topics. It is tested at start (a transaction pooler breaks it: one warning, watchers poll, and it is tested again
 * each minute), checked every 15 s, opened again when it is lost or its session was reset. What is published goes out at
 * once, then at most every 10 ms, many messages in one notification over one connection. Subscribers of this process
 * get it without the way round.
 *
 * @throws {PgFlowError} `INVALID_INPUT` for a payload that is none.
 * @example
 * await createPgFlow({ database: process.env.DATABASE_URL, pubsub: postgresPubSub({ payload: 'hint' }) });
 */
export function postgresPubSub(options?: PostgresPubSubOptions): PostgresPubSub {
  const payload = checkPayload('postgresPubSub()', options);
  return { kind: 'postgres', open: (channel) => new NotifyPubSub(channel, payload) };
}

interface Envelope {
  /** Who sent it: its own subscribers have it already. Absent when SQL did. */
  readonly from?: string;
  /** A self-test, to be heard by the sender of that id. */
  readonly probe?: string;
  readonly messages: readonly (readonly [topic: string, message: unknown])[];
}

type Mode = 'idle' | 'connecting' | 'listening' | 'deaf' | 'lost' | 'closed';

const PING_INTERVAL = 15_000;
/** Behind a pooler each look is a failure, and most often a new connection. */
const DEAF_INTERVAL = 60_000;
const PATIENCE = 5_000;
const LONGEST_BACKOFF = 10_000;

/**
 * Modes: `idle → connecting → listening | deaf | lost`, `listening | deaf → lost → listening | deaf`, from any to `closed`.
 * `idle` until the first subscription. `deaf`: it listens, and nothing arrives. In `lost` it tries to connect
 * again. In `deaf` and `lost` messages of other processes are missed.
 */
class NotifyPubSub implements PubSub {
  readonly payload: 'inline' | 'hint';
  #mode: Mode = 'idle';
  /** What the watchers were told last. */
  #connected = true;
  readonly #channel: NotificationChannel;
  readonly #id = crypto.randomUUID();
  /** How the payloads of this process begin. */
  readonly #envelope = `{"from":"${this.#id}","messages":[`;
  readonly #topics = new Map<string, Set<(message: unknown) => void>>();
  readonly #watchers = new Set<(connected: boolean) => void>();
  readonly #outbox: Outbox;
  #opening: Promise<void> | undefined;
  #listener: ChannelListener | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #endTest: (heard: boolean) => void = () => {};
  #warned = false;

  constructor(channel: NotificationChannel, payload: 'inline' | 'hint') {
    this.#channel = channel;
    this.#outbox = new Outbox(this.#envelope, (payloads) => channel.notify(payloads));
    this.payload = payload;
  }

  async publish(topic: string, message: unknown): Promise<void> {
    if (this.#mode === 'closed') throw closedError();
    const entry = JSON.stringify([topic, message]);
    if (Buffer.byteLength(entry) > MOST_ENTRY_BYTES) {
      throw new PgFlowError(
        'LIMIT_EXCEEDED',
        `A message on topic ${topic} has more bytes than a notification can carry.`,
      );
    }
    if (this.#topics.has(topic)) queueMicrotask(() => this.#deliver(topic, message));
    return this.#outbox.add(entry);
  }

  async subscribe(topic: string, fn: (message: unknown) => void): Promise<() => void> {
    if (this.#mode === 'closed') throw closedError();
    const own = (message: unknown) => fn(message);
    const subscribers = this.#topics.get(topic) ?? new Set();
    this.#topics.set(topic, subscribers.add(own));
    this.#opening ??= this.#open();
    await this.#opening;
    return () => {
      subscribers.delete(own);
      if (subscribers.size === 0 && this.#topics.get(topic) === subscribers) this.#topics.delete(topic);
    };
  }

  onConnection(fn: (connected: boolean) => void): () => void {
    const own = (connected: boolean) => fn(connected);
    this.#watchers.add(own);
    if (!this.#connected) callWatcher(own, false);
    return () => this.#watchers.delete(own);
  }

  async close(): Promise<void> {
    if (this.#mode === 'closed') return;
    this.#enter('closed');
    this.#endTest(false);
    await this.#outbox.flush();
    clearTimeout(this.#timer);
    this.#topics.clear();
    this.#watchers.clear();
    await this.#opening?.catch(() => {});
    await this.#listener?.stop();
  }

  #enter(mode: Mode): void {
    if (this.#mode === 'closed') return;
    this.#mode = mode;
    const connected = mode !== 'deaf' && mode !== 'lost';
    if (connected === this.#connected || mode === 'closed') return;
    this.#connected = connected;
    for (const watcher of [...this.#watchers]) callWatcher(watcher, connected);
  }

  // Receiving

  #receive(payload: string): void {
    // Most of what a busy process hears is its own: told by its first bytes, without parsing.
    if (payload.startsWith(this.#envelope)) return;
    const envelope = parse(payload);
    if (envelope?.probe === this.#id) this.#endTest(true);
    for (const entry of envelope?.messages ?? []) {
      if (Array.isArray(entry) && typeof entry[0] === 'string') this.#deliver(entry[0], entry[1]);
    }
  }

  #deliver(topic: string, message: unknown): void {
    for (const subscriber of [...(this.#topics.get(topic) ?? [])]) callWatcher(subscriber, message);
  }

  // Connecting

  /** The first connection; a failure is retried in the background, since messages may be lost anyway. */
  async #open(): Promise<void> {
    this.#enter('connecting');
    await this.#connect();
  }

  async #connect(): Promise<void> {
    let listener: ChannelListener | undefined;
    let isLost = false;
    try {
      listener = await this.#channel.listen(
        (payload) => this.#receive(payload),
        () => {
          isLost = true;
          if (listener) this.#lose(listener);
        },
      );
      if ((this.#mode as Mode) === 'closed') return void (await listener.stop());
      this.#listener = listener;
      // Before there was a name for it.
      if (isLost) return this.#lose(listener);
      await this.#test(listener);
      this.#scheduleCheck(listener);
    } catch {
      if (listener) this.#lose(listener);
      else this.#retry();
    }
  }

  async #test(listener: ChannelListener): Promise<void> {
    const heard = await this.#hearsItself();
    if (this.#listener !== listener || this.#mode === 'closed') return;
    if (heard) this.#failures = 0;
    this.#enter(heard ? 'listening' : 'deaf');
    if (!heard) this.#warn();
  }

  /** Behind a transaction pooler LISTEN succeeds and nothing ever arrives. */
  async #hearsItself(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const heard = new Promise<boolean>((resolve) => {
      this.#endTest = resolve;
      timer = setTimeout(() => resolve(false), PATIENCE);
    });
    try {
      await this.#channel.notify([JSON.stringify({ probe: this.#id, messages: [] } satisfies Envelope)]);
      return await heard;
    } finally {
      clearTimeout(timer);
    }
  }

  #warn(): void {
    if (this.#warned) return;
    this.#warned = true;
    console.warn(
      '[pgflow] LISTEN does not work on this database connection (a transaction pooler?). Runs stay right, but changes ' +
        'made by other processes show seconds later. Give createPgFlow a direct connection, or another pubsub.',
    );
  }

  #scheduleCheck(listener: ChannelListener): void {
    if (this.#listener !== listener) return;
    this.#schedule(this.#mode === 'deaf' ? DEAF_INTERVAL : PING_INTERVAL, () => this.#check(listener));
  }

  async #check(listener: ChannelListener): Promise<void> {
    try {
      await within(PATIENCE, listener.ping());
      // It may have been the server that took its time.
      if (this.#mode === 'deaf') await this.#test(listener);
      this.#scheduleCheck(listener);
    } catch {
      this.#lose(listener);
    }
  }

  #lose(listener: ChannelListener): void {
    if (this.#listener !== listener || this.#mode === 'closed') return;
    this.#listener = undefined;
    void listener.stop();
    this.#endTest(false);
    this.#retry();
  }

  #retry(): void {
    if (this.#mode === 'closed') return;
    this.#enter('lost');
    const most = Math.min(LONGEST_BACKOFF, 100 * 2 ** this.#failures);
    this.#failures += 1;
    this.#schedule(most / 2 + (Math.random() * most) / 2, () => this.#connect());
  }

  #schedule(milliseconds: number, fn: () => unknown): void {
    clearTimeout(this.#timer);
    if (this.#mode === 'closed') return;
    this.#timer = setTimeout(fn, milliseconds);
    this.#timer.unref();
  }
}

function parse(payload: string): Envelope | null {
  try {
    const envelope = JSON.parse(payload) as Envelope;
    return Array.isArray(envelope?.messages) ? envelope : null;
  } catch {
    return null;
  }
}

async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`No answer within ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function closedError(): PgFlowError {
  return new PgFlowError(
    'CLOSED',
    'This postgresPubSub() is closed. Make a new one with the next createPgFlow.',
  );
}
