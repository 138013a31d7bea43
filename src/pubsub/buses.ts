import { PgFlowError } from '../errors.js';
import { quoted } from '../flow/quoted.js';
import { memoryPubSub } from './memory.js';
import { mergePubSub } from './merged.js';
import { type NotificationChannel, type PostgresPubSub, postgresPubSub } from './postgres.js';
import type { PubSub } from './pubsub.js';

export interface BusOptions {
  /** What the user chose; absent: the notifications, or memory when no other process can share the database. */
  readonly given: PubSub | PostgresPubSub | undefined;
  readonly channel: NotificationChannel;
  /** Whether other processes may use the database. */
  readonly isShared: boolean;
}

/**
 * The bus that the user gave; undefined for none, null too.
 *
 * @throws {PgFlowError} `INVALID_INPUT` for what is no bus.
 */
export function checkPubSub(given: unknown): PubSub | PostgresPubSub | undefined {
  if (given === undefined || given === null) return undefined;
  const bus = given as PubSub | PostgresPubSub;
  if (isPostgresPubSub(bus) || METHODS.every((method) => typeof bus[method] === 'function')) return bus;
  const message = `takes postgresPubSub(), memoryPubSub(), redisPubSub(url), or an object with ${METHODS.join(', ')}, not ${quoted(given)}`;
  throw new PgFlowError('INVALID_INPUT', `createPgFlow({ pubsub }) ${message}.`, {
    data: { issues: [{ path: 'pubsub', message }] },
  });
}

const METHODS = ['publish', 'subscribe', 'close'] as const;

/** A bus of the user's may have an `open` of its own. */
function isPostgresPubSub(bus: PubSub | PostgresPubSub): bus is PostgresPubSub {
  return 'kind' in Object(bus) && (bus as PostgresPubSub).kind === 'postgres';
}

/**
 * The buses of one process: `notifications` over PostgreSQL, which wake workers, and `pubsub`, which carries what watchers
 * are told. They may be one.
 */
export class Buses {
  readonly notifications: PubSub;
  readonly pubsub: PubSub;
  /** Whether nobody but pgflow uses `pubsub`: it is closed with it, and carries only what other trackers want. */
  readonly isOwn: boolean;
  readonly #deaf = new Set<PubSub>();
  readonly #stops: (() => void)[] = [];

  constructor({ given, channel, isShared }: BusOptions) {
    const isPostgres = given !== undefined && isPostgresPubSub(given);
    this.notifications = (isPostgres ? given : postgresPubSub()).open(channel);
    this.isOwn = given === undefined || isPostgres;
    if (isPostgres || (given === undefined && isShared)) this.pubsub = this.notifications;
    else this.pubsub = mergePubSub(given ?? memoryPubSub(), this.notifications);
    for (const bus of new Set([this.notifications, this.pubsub])) this.#watch(bus);
  }

  /** False while a bus knows that messages get lost. */
  get areListening(): boolean {
    return this.#deaf.size === 0;
  }

  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
    if (this.isOwn) await this.pubsub.close();
    await this.notifications.close();
  }

  #watch(bus: PubSub): void {
    const stop = bus.onConnection?.((connected) => {
      if (connected) this.#deaf.delete(bus);
      else this.#deaf.add(bus);
    });
    if (stop) this.#stops.push(stop);
  }
}
