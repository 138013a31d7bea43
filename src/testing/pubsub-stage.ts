import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { PubSub } from '../pubsub/pubsub.js';
import { createInbox, type Inbox } from './pubsub-inbox.js';

/** What an adapter is checked on. */
export interface PubSubMedium {
  /** Opens buses as two or more processes would have them, all on one medium. A bus within one process: itself, twice. */
  open(): Promise<readonly PubSub[]>;
  /** Severs the connections of all buses that are open; they can come back at once. Absent: it has none. */
  cut?(): unknown;
  /** Seconds that a case waits for a message at most. Default 15. */
  readonly timeout?: number;
}

/** What a case has to work with. */
export interface Stage {
  /** The first and the last of the buses that were opened. */
  readonly a: PubSub;
  readonly b: PubSub;
  /** A topic of this case's own. */
  readonly topic: string;
  inbox(): Inbox;
  /** Closes all buses. */
  close(): Promise<void>;
  /** Resolves when nothing is open that was not before the buses were. */
  nothingIsOpen(): Promise<void>;
  /** Severs all connections, which are in use, and resolves when both buses have told that theirs are back. */
  cutAndWait(): Promise<void>;
}

export type Check = (stage: Stage) => Promise<void>;

export async function onStage(medium: PubSubMedium, check: Check): Promise<void> {
  const before = countHandles();
  const buses = await medium.open();
  assert.ok(buses.length >= 2, 'open() gives at least two buses');
  const { timeout = 15 } = medium;
  const close = async () => void (await Promise.all(buses.map((bus) => bus.close())));
  const inbox = () => createInbox(timeout);
  const stage: Stage = {
    a: buses[0]!,
    b: buses.at(-1)!,
    topic: `conformance:${randomUUID()}`,
    inbox,
    close,
    nothingIsOpen: () =>
      eventually(timeout, 'all timers and sockets are gone', () => countHandles() <= before),
    async cutAndWait() {
      const told = buses.map((bus) => watch(bus, inbox()));
      for (const bus of buses) await exchange(bus, stage.topic, inbox());
      await medium.cut!();
      for (const connection of told) await connection.until('onConnection tells false, then true', isBack);
    },
  };
  try {
    await check(stage);
  } finally {
    await close();
  }
}

/** A message to oneself and back: what was published on this bus before has most likely arrived. */
export async function exchange(bus: PubSub, topic: string, inbox: Inbox): Promise<void> {
  const stop = await bus.subscribe(topic, inbox.fn);
  const message = randomUUID();
  await bus.publish(topic, message);
  await inbox.gets(message);
  stop();
}

function watch(bus: PubSub, told: Inbox): Inbox {
  assert.ok(bus.onConnection, 'a bus that can be cut has onConnection');
  bus.onConnection(told.fn);
  return told;
}

export function isBack(told: readonly unknown[]): boolean {
  return told.includes(false) && told.at(-1) === true;
}

/** Asks again until it holds. For what nobody tells, such as a handle that is gone. */
async function eventually(timeout: number, what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + timeout * 1000;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`${what}: not within ${timeout} s.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What keeps a process from ending. */
function countHandles(): number {
  return process.getActiveResourcesInfo().filter((type) => /Timeout|TCP|TLS|Pipe|UDP/.test(type)).length;
}
