import type { Redis, RedisOptions } from 'ioredis';
import { PgFlowError } from '../errors.js';

export interface RedisConnectionPorts {
  /** A client of our own, with these options whatever else it has. */
  create(options: RedisOptions): Redis;
  /** Puts a new connection in order before it counts as ready; when it fails, the connection is given up. */
  prepare(redis: Redis): Promise<void>;
  /** Whether it must stay open although nothing is sent. */
  isNeeded(): boolean;
  onMode(mode: ConnectionMode): void;
}

export type ConnectionMode = 'idle' | 'connecting' | 'preparing' | 'ready' | 'lost' | 'closed';

/** Milliseconds between two looks whether it answers, and is needed. */
const CHECK_INTERVAL = 15_000;
/** How long a command waits for its answer, and closing for the socket. */
const PATIENCE = 5_000;
const LONGEST_BACKOFF = 5_000;

/**
 * One connection of ours to Redis: opened with the first command, looked after while it is needed.
 *
 * Modes: `idle → connecting → preparing → ready`, from these to `lost`, `lost → preparing`, `ready | lost → idle` when nobody
 * needs it, from any to `closed`. Commands are sent in `preparing` and `ready`, wait in `connecting`, and are refused at
 * once in `lost`, where ioredis tries again: nothing is queued for later. It keeps the process alive only while it
 * is needed or an answer is awaited.
 */
export class RedisConnection {
  #mode: ConnectionMode = 'idle';
  readonly #ports: RedisConnectionPorts;
  readonly #pending = new Set<Promise<unknown>>();
  #redis: Redis | undefined;
  #opened: Promise<void> = Promise.resolve();
  #endOpening: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #wasUsed = false;
  /** Whether the socket keeps the process alive, as each does when it is new. */
  #keepsAlive = true;
  #failures = 0;
  #cause: unknown;

  constructor(ports: RedisConnectionPorts) {
    this.#ports = ports;
  }

  get mode(): ConnectionMode {
    return this.#mode;
  }

  /** Why it is lost. */
  get cause(): unknown {
    return this.#cause;
  }

  /**
   * Runs a command. When the connection is open it is sent before this returns, so commands keep their order.
   *
   * @throws {PgFlowError} `UNREACHABLE`: at once while the connection is lost, when it gets lost before the answer, or
   *   when Redis refuses.
   */
  run<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    this.#wasUsed = true;
    if (this.#mode === 'idle') this.#open();
    const result =
      this.#mode === 'connecting' ? this.#opened.then(() => this.#send(command)) : this.#send(command);
    const settled: Promise<void> = result.then(
      () => this.#settle(settled),
      () => this.#settle(settled),
    );
    this.#pending.add(settled);
    this.adjust();
    return result;
  }

  /** Whether it is needed may have changed. */
  adjust(): void {
    const keepsAlive = this.#pending.size > 0 || this.#ports.isNeeded();
    if (this.#mode !== 'ready' || keepsAlive === this.#keepsAlive) return;
    this.#keepsAlive = keepsAlive;
    const { stream } = this.#redis!;
    if (keepsAlive) stream.ref();
    else stream.unref();
  }

  /** Tries again at once if it is lost: Redis is known to be back. */
  retry(): void {
    if (this.#mode === 'lost' && this.#redis?.status === 'reconnecting')
      this.#redis.connect().catch(() => {});
  }

  /** Waits for the answers under way. */
  async close(): Promise<void> {
    const redis = this.#redis;
    await Promise.all(this.#pending);
    this.#enter('closed');
    if (redis) await ended(redis);
  }

  async #send<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    const isOpen = this.#mode === 'ready' || this.#mode === 'preparing';
    if (!isOpen || !this.#redis) throw unreachable(this.#cause);
    try {
      return await command(this.#redis);
    } catch (error) {
      throw unreachable(error);
    }
  }

  #settle(settled: Promise<unknown>): void {
    this.#pending.delete(settled);
    this.adjust();
  }

  #open(): void {
    const redis = this.#ports.create({ ...OPTIONS, retryStrategy: () => this.#pause() });
    this.#redis = redis;
    this.#enter('connecting');
    // Without a listener an error would end the process.
    redis.on('error', (error) => {
      this.#cause = error;
    });
    redis.on('ready', () => void this.#prepare(redis));
    redis.on('close', () => this.#redis === redis && this.#enter('lost'));
    redis.on('end', () => this.#redis === redis && this.#onEnd(redis));
    redis.connect().catch(() => {});
  }

  async #prepare(redis: Redis): Promise<void> {
    const { stream } = redis;
    if (this.#redis !== redis) return;
    this.#enter('preparing');
    try {
      await this.#ports.prepare(redis);
      if (this.#redis === redis && redis.stream === stream && this.#mode === 'preparing')
        this.#enter('ready');
    } catch (error) {
      this.#cause = error;
      stream.destroy();
    }
  }

  /** Milliseconds until the next try; null: nobody needs one. */
  #pause(): number | null {
    if (!this.#isUsed()) return null;
    const most = Math.min(LONGEST_BACKOFF, 100 * 2 ** this.#failures);
    this.#failures += 1;
    return most / 2 + (Math.random() * most) / 2;
  }

  /** Nobody needs it, or ioredis has given up: no sentinel knew the way. */
  #onEnd(redis: Redis): void {
    const pause = this.#pause();
    this.#enter(pause === null ? 'idle' : 'lost');
    if (pause !== null) this.#timer = setTimeout(() => redis.connect().catch(() => {}), pause);
  }

  /** A half-open connection neither answers nor fails. */
  async #check(redis: Redis): Promise<void> {
    if (!this.#isUsed()) {
      this.#enter('idle');
      return;
    }
    const { stream } = redis;
    try {
      await redis.ping();
      if (redis.stream === stream && this.#mode === 'ready') this.#scheduleCheck(redis);
    } catch (error) {
      this.#cause = error;
      stream.destroy();
    }
  }

  #scheduleCheck(redis: Redis): void {
    this.#timer = setTimeout(() => void this.#check(redis), CHECK_INTERVAL);
    this.#timer.unref();
  }

  /** Since it was last asked. */
  #isUsed(): boolean {
    const isUsed = this.#wasUsed || this.#pending.size > 0 || this.#ports.isNeeded();
    this.#wasUsed = false;
    return isUsed;
  }

  #enter(mode: ConnectionMode): void {
    if (this.#mode === 'closed') return;
    this.#mode = mode;
    clearTimeout(this.#timer);
    const redis = this.#redis;
    if (mode === 'connecting') {
      this.#opened = new Promise((resolve) => {
        this.#endOpening = resolve;
      });
    } else if (mode !== 'preparing') this.#endOpening();
    if (mode === 'ready' && redis) {
      this.#failures = 0;
      this.#cause = undefined;
      this.#keepsAlive = true;
      this.#scheduleCheck(redis);
      this.adjust();
    }
    if (mode === 'idle' || mode === 'closed') {
      this.#redis = undefined;
      redis?.disconnect();
    }
    this.#ports.onMode(mode);
  }
}

/** With 0 retries each loss of the connection rejects what waits for an answer. */
const OPTIONS: RedisOptions = {
  lazyConnect: true,
  enableOfflineQueue: false,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  commandTimeout: PATIENCE,
  connectTimeout: PATIENCE,
  disconnectTimeout: 100,
  keyPrefix: '',
  connectionName: 'pgflow-live',
};

/** Resolves when the socket is gone. One that hangs is not waited for any longer than a command. */
async function ended(redis: Redis): Promise<void> {
  const { stream } = redis;
  if (!stream || stream.destroyed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => stream.destroy(), PATIENCE);
    stream.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function unreachable(cause: unknown): PgFlowError {
  const why = cause instanceof Error ? cause.message : 'the connection is lost';
  return new PgFlowError('UNREACHABLE', `Redis did not take it: ${why}. It was not kept for later.`, {
    cause,
  });
}
