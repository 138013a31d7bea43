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
 * The buses of one process: `notifications` over PostgreSQL, which wake workers, and `pubsub`, which carries what watchers
 * are told. They may be one.
 */
export class Buses {
  readonly notifications: PubSub;
  readonly pubsub: PubSub;
  /** A bus that was given is left open: others may go on with it. */
  readonly #isOwn: boolean;
  readonly #deaf = new Set<PubSub>();
  readonly #stops: (() => void)[] = [];

  constructor({ given, channel, isShared }: BusOptions) {
    const isPostgres = given !== undefined && 'open' in given;
    this.notifications = (isPostgres ? given : postgresPubSub()).open(channel);
    this.#isOwn = given === undefined || isPostgres;
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
    if (this.#isOwn) await this.pubsub.close();
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
