import assert from 'node:assert/strict';
import type { PubSub } from '../pubsub/pubsub.js';
import { type Check, isBack } from './pubsub-stage.js';

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
    const [stopped, came] = [inbox(), inbox()];
    const stop = await a.subscribe(topic, stopped.fn);
    let coming: Promise<unknown> | undefined;
    a.onConnection!((connected) => {
      if (connected || coming) return;
      stop();
      coming = a.subscribe(topic, came.fn);
    });
    await cutAndWait();
    await coming;
    await handOver(b, topic, 'after');
    await came.gets('after');
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
