import assert from 'node:assert/strict';
import type { PubSub } from '../pubsub/pubsub.js';
import type { Inbox } from './pubsub-inbox.js';
import { type Check, exchange, isBack } from './pubsub-stage.js';

/** What every bus must do whose connections can be cut. */
export const CUT_CASES: Record<string, Check> = {
  async 'cut: tells false, then true, and every subscription is back'({ a, b, topic, inbox, cutAndWait }) {
    const inboxes = Array.from({ length: 20 }, inbox);
    for (const [i, { fn }] of inboxes.entries()) await a.subscribe(`${topic}:${i}`, fn);
    await cutAndWait();
    for (const [i, { gets }] of inboxes.entries()) {
      await handOver(b, `${topic}:${i}`, i);
      await gets(i);
    }
  },

  async 'cut: what stopped meanwhile stays so, what came meanwhile is there'(stage) {
    const { a, b, topic, inbox, cutAndWait } = stage;
    const stopped = inbox();
    const stop = await a.subscribe(topic, stopped.fn);
    const [coming, newest] = comeAndGo(a, topic, inbox);
    a.onConnection!((connected) => void (connected || stop()));
    await cutAndWait();
    await coming;
    for (const [name, heard] of newest) {
      await handOver(b, name, name);
      await heard.gets(name);
    }
    await handOver(b, topic, 'after');
    await exchange(a, `${topic}:after`, inbox());
    assert.ok(!stopped.received.includes('after'));
  },

  async 'cut: who begins to watch the connection meanwhile is told at once'({ a, inbox, cutAndWait }) {
    const late = inbox();
    let told: readonly unknown[] | undefined;
    a.onConnection!((connected) => {
      if (connected || told) return;
      a.onConnection!(late.fn);
      told = [...late.received];
    });
    await cutAndWait();
    assert.deepEqual(told, [false], 'false before onConnection returned');
    await late.until('true', isBack);
  },

  async 'cut, then closed: nothing is left open'({ cutAndWait, close, nothingIsOpen }) {
    await cutAndWait();
    await close();
    await nothingIsOpen();
  },
};

/** How many subscriptions are left of those that come and go while the connection is away. */
const NEWEST = 100;

/**
 * From the loss of the connection until it is back, topic after topic is subscribed to, and the older ones are stopped.
 * Returns when that is over, and those that stay.
 */
function comeAndGo(
  bus: PubSub,
  topic: string,
  inbox: () => Inbox,
): [Promise<void>, ReadonlyMap<string, Inbox>] {
  const newest = new Map<string, Inbox>();
  let isAway: boolean | undefined;
  const come = async (stops: Promise<() => void>[]): Promise<void> => {
    const name = `${topic}:${stops.length}`;
    const heard = inbox();
    newest.set(name, heard);
    const subscribed = bus.subscribe(name, heard.fn);
    subscribed.catch(() => {});
    const last = stops.push(subscribed) - 1;
    if (last >= NEWEST) {
      newest.delete(`${topic}:${last - NEWEST}`);
      (await stops[last - NEWEST]!)();
    }
    await new Promise((resolve) => setImmediate(resolve));
    if (isAway) return come(stops);
    await Promise.all(stops);
  };
  const over = new Promise<void>((resolve, reject) => {
    bus.onConnection!((connected) => {
      const isFirst = isAway === undefined;
      isAway = !connected;
      if (isFirst) setImmediate(() => come([]).then(resolve, reject));
    });
  });
  over.catch(() => {});
  return [over, newest];
}

/** Right after a cut a bus may refuse for a moment. What it accepts must arrive. */
async function handOver(bus: PubSub, topic: string, message: unknown): Promise<void> {
  for (let left = 100; ; left--) {
    try {
      await bus.publish(topic, message);
      return;
    } catch (error) {
      if (left === 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
