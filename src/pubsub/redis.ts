import { Redis, type RedisOptions } from 'ioredis';
import { PgFlowError } from '../errors.js';
import { callWatcher } from '../run/call-watcher.js';
import { checkPayload, checkPrefix } from './bus-options.js';
import type { PubSub } from './pubsub.js';
import { type ConnectionMode, RedisConnection } from './redis-connection.js';

/** What travels over Redis, and under which names. */
export interface RedisPubSubOptions {
  /** `inline` (default): changes travel whole. `hint`: only which run moved, for a Redis that others share. */
  readonly payload?: 'inline' | 'hint';
  /** What the names of all channels begin with. Default: the `keyPrefix` of a given instance, else nothing. */
  readonly prefix?: string;
}

/**
 * Pubsub over Redis, for processes that have one anyway or whose database stands behind a transaction pooler.
 *
 * One connection listens and one sends, per process, whatever the number of topics; they are opened with the first use,
 * and ended after a while without any. A lost one is opened again, later and later up to 5 s, and all subscriptions come
 * back before `onConnection` says true. While Redis is away `publish` rejects with `UNREACHABLE` at once: nothing is kept
 * for later. A message of more than 512 KiB is refused with `LIMIT_EXCEEDED`: Redis ends subscribers that lag behind by 8 MB.
 *
 * @param redis a `redis://` or `rediss://` URL, or an ioredis instance: its options are taken, it is never used or ended itself.
 * @throws {PgFlowError} `INVALID_INPUT` for a wrong option, and for anything else, a cluster included: any one node of it will do.
 * @example
 * const pgflow = await createPgFlow({ database, pubsub: redisPubSub(process.env.REDIS_URL) });
 */
export function redisPubSub(redis: string | Redis | undefined, options?: RedisPubSubOptions): PubSub {
  const given = checkRedis(redis);
  const payload = checkPayload('redisPubSub()', options);
  const prefix = checkPrefix('redisPubSub()', options?.prefix);
  const keyPrefix = typeof given === 'string' ? '' : given.options.keyPrefix;
  return new RedisPubSub(given, payload, prefix ?? keyPrefix ?? '');
}

/** Redis ends a subscriber that lags behind by 8 MB for a minute, or by 32 MB. */
const MOST_BYTES = 512 * 1024;
/** How many channels one command names. */
const CHUNK = 1000;

type Subscriber = (message: unknown) => void;

interface Channel {
  readonly subscribers: Set<Subscriber>;
  /** Redis has said on this connection that it sends what comes. */
  isOpen: boolean;
}

/** Modes: `open → closed`. What its connections go through is theirs. */
class RedisPubSub implements PubSub {
  readonly payload: 'inline' | 'hint';
  #mode: 'open' | 'closed' = 'open';
  readonly #prefix: string;
  readonly #channels = new Map<string, Channel>();
  readonly #watchers = new Set<(connected: boolean) => void>();
  readonly #listening: RedisConnection;
  readonly #sending: RedisConnection;
  /** What the watchers were told last. */
  #connected = true;
  #hasWarned = false;
  #closing: Promise<unknown> | undefined;

  constructor(given: string | Redis, payload: 'inline' | 'hint', prefix: string) {
    this.payload = payload;
    this.#prefix = prefix;
    this.#listening = new RedisConnection({
      create: (own) => this.#listen(create(given, own)),
      prepare: (redis) => this.#askAll(redis),
      isNeeded: () => this.#channels.size > 0,
      onMode: (mode) => this.#onListening(mode),
    });
    this.#sending = new RedisConnection({
      create: (own) => create(given, { ...own, enableAutoPipelining: true }),
      prepare: async () => {},
      isNeeded: () => false,
      onMode: (mode) => this.#onSending(mode),
    });
  }

  async publish(topic: string, message: unknown): Promise<void> {
    this.#refuseIfClosed('publish');
    const text = JSON.stringify(message) ?? 'null';
    const bytes = Buffer.byteLength(text);
    if (bytes > MOST_BYTES) {
      throw new PgFlowError(
        'LIMIT_EXCEEDED',
        `A message on topic ${topic} has ${bytes} bytes; redisPubSub() carries ${MOST_BYTES}.`,
      );
    }
    await this.#sending.run((redis) => redis.publish(this.#prefix + topic, text));
  }

  async subscribe(topic: string, fn: Subscriber): Promise<() => void> {
    this.#refuseIfClosed('subscribe');
    const name = this.#prefix + topic;
    const channel = this.#channels.get(name) ?? { subscribers: new Set(), isOpen: false };
    this.#channels.set(name, channel);
    const own: Subscriber = (message) => fn(message);
    channel.subscribers.add(own);
    const stop = () => this.#stop(name, channel, own);
    try {
      if (!channel.isOpen) await this.#ask(name, channel);
    } catch (error) {
      // A connection that is lost asks for all channels when it is back, and its watchers know.
      if (this.#listening.mode !== 'lost') {
        stop();
        throw error;
      }
    }
    return stop;
  }

  onConnection(fn: (connected: boolean) => void): () => void {
    const own = (connected: boolean) => fn(connected);
    this.#watchers.add(own);
    if (!this.#connected) callWatcher(own, false);
    return () => this.#watchers.delete(own);
  }

  async close(): Promise<void> {
    if (this.#mode === 'open') this.#enter('closed');
    await this.#closing;
  }

  #enter(mode: 'closed'): void {
    this.#mode = mode;
    this.#channels.clear();
    this.#watchers.clear();
    this.#closing = Promise.all([this.#listening.close(), this.#sending.close()]);
  }

  #refuseIfClosed(what: string): void {
    if (this.#mode === 'open') return;
    throw new PgFlowError('CLOSED', `Cannot ${what}: this redisPubSub() is closed. Make a new one.`);
  }

  // Receiving

  #listen(redis: Redis): Redis {
    return redis.on('message', (channel: string, text: string) => {
      const message = parse(text);
      if (message === undefined) return;
      for (const subscriber of [...(this.#channels.get(channel)?.subscribers ?? [])]) {
        callWatcher(subscriber, message);
      }
    });
  }

  #ask(name: string, channel: Channel): Promise<void> {
    return this.#listening.run(async (redis) => {
      if (channel.isOpen) return;
      await redis.subscribe(name);
      channel.isOpen = true;
    });
  }

  /** On a new connection. Who comes while it asks, asks too. */
  async #askAll(redis: Redis): Promise<void> {
    const all = [...this.#channels];
    for (const [, channel] of all) channel.isOpen = false;
    for (let first = 0; first < all.length; first += CHUNK) {
      const chunk = all
        .slice(first, first + CHUNK)
        .filter(([name, channel]) => this.#channels.get(name) === channel);
      if (chunk.length > 0) await redis.subscribe(...chunk.map(([name]) => name));
      for (const [, channel] of chunk) channel.isOpen = true;
    }
  }

  #stop(name: string, channel: Channel, subscriber: Subscriber): void {
    if (!channel.subscribers.delete(subscriber) || channel.subscribers.size > 0) return;
    if (this.#channels.get(name) !== channel) return;
    this.#channels.delete(name);
    this.#listening.run((redis) => redis.unsubscribe(name)).catch(() => {});
  }

  // Connecting

  #onListening(mode: ConnectionMode): void {
    if (mode === 'lost') this.#warn(this.#listening.cause);
    if (mode === 'ready') this.#sending.retry();
    const connected = mode === 'preparing' ? this.#connected : mode !== 'lost';
    if (connected === this.#connected || this.#mode === 'closed') return;
    this.#connected = connected;
    for (const watcher of [...this.#watchers]) callWatcher(watcher, connected);
  }

  #onSending(mode: ConnectionMode): void {
    if (mode === 'lost') this.#warn(this.#sending.cause);
    if (mode === 'ready') this.#listening.retry();
  }

  #warn(cause: unknown): void {
    if (this.#hasWarned || this.#mode === 'closed') return;
    this.#hasWarned = true;
    const why = cause instanceof Error ? `: ${cause.message}` : '';
    console.warn(
      `[pgflow] The connection to Redis is lost${why}. It is opened again as soon as possible. Runs stay right meanwhile, ` +
        'but changes made by other processes show seconds later.',
    );
  }
}

function create(given: string | Redis, options: RedisOptions): Redis {
  return typeof given === 'string' ? new Redis(given, options) : given.duplicate(options);
}

/** A URL is not shown: it may have a password. */
function checkRedis(redis: unknown): string | Redis {
  if (typeof redis === 'string' && isRedisUrl(redis)) return redis;
  if (
    typeof redis === 'object' &&
    redis !== null &&
    'duplicate' in redis &&
    !('isCluster' in redis && redis.isCluster)
  ) {
    return redis as Redis;
  }
  const got = typeof redis === 'object' && redis !== null ? redis.constructor?.name : typeof redis;
  const message =
    'takes a redis:// or rediss:// URL, or an ioredis instance that is no cluster (one node of a cluster ' +
    `carries its messages). It got ${got === 'string' ? 'another text' : `a value of type ${got}`}`;
  throw new PgFlowError('INVALID_INPUT', `redisPubSub() ${message}.`, {
    data: { issues: [{ path: 'redis', message }] },
  });
}

function isRedisUrl(text: string): boolean {
  return /^rediss?:\/\/./.test(text) && URL.canParse(text);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
