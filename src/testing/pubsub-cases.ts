import assert from 'node:assert/strict';
import { type Check, exchange } from './pubsub-stage.js';

/** What every bus must do. */
export const CASES: Record<string, Check> = {
  async 'a message reaches the subscribers of its own bus and of others'({ a, b, topic, inbox }) {
    const [atA, atB] = [inbox(), inbox()];
    await a.subscribe(topic, atA.fn);
    await b.subscribe(topic, atB.fn);
    await a.publish(topic, 'from a');
    await b.publish(topic, 'from b');
    for (const message of ['from a', 'from b']) await Promise.all([atA.gets(message), atB.gets(message)]);
  },

  async 'topics do not mix, whatever is in their names'({ a, b, topic, inbox }) {
    const names = ['', ':1', '*', '?', '[a]', ' ', "'", '"', '\\', '%', 'ü', '🙂', 'A', 'a'];
    const topics = names.map((name) => topic + name);
    const inboxes = topics.map(() => inbox());
    for (const [i, one] of topics.entries()) await a.subscribe(one, inboxes[i]!.fn);
    for (const one of topics) await b.publish(one, { on: one });
    for (const [i, one] of topics.entries()) await inboxes[i]!.gets({ on: one });
    for (const [i, one] of topics.entries()) {
      for (const message of inboxes[i]!.received)
        assert.deepEqual(message, { on: one }, 'heard on its topic only');
    }
  },

  async 'any JSON arrives as it was'({ a, b, topic, inbox }) {
    const heard = inbox();
    await a.subscribe(topic, heard.fn);
    for (const message of JSON_VALUES) {
      await b.publish(topic, { message });
      await heard.gets({ message });
    }
    for (const message of [null, false, 0, '', 'text', [], {}]) {
      await b.publish(topic, message);
      await heard.gets(message);
    }
  },

  async 'what is published after subscribe has resolved arrives'({ a, b, topic, inbox }) {
    // The publisher is ready, the subscriber was never used.
    await exchange(b, topic, inbox());
    for (let i = 0; i < 50; i++) {
      const heard = inbox();
      const [subscriber, publisher] = i % 2 === 0 ? [a, b] : [b, a];
      await subscriber.subscribe(`${topic}:${i}`, heard.fn);
      await publisher.publish(`${topic}:${i}`, i);
      await heard.gets(i);
    }
  },

  async 'nothing arrives after stop'({ a, b, topic, inbox }) {
    const [stopped, kept] = [inbox(), inbox()];
    const stop = await a.subscribe(topic, stopped.fn);
    await b.subscribe(topic, kept.fn);
    stop();
    stop();
    await b.publish(topic, 1);
    await kept.gets(1);
    await exchange(a, `${topic}:after`, inbox());
    assert.deepEqual(stopped.received, []);
  },

  async 'of two subscriptions to a topic one can stop, and come again'({ a, b, topic, inbox }) {
    const [first, second, again] = [inbox(), inbox(), inbox()];
    const stop = await a.subscribe(topic, first.fn);
    const stopSecond = await a.subscribe(topic, second.fn);
    stop();
    await b.publish(topic, 1);
    await second.gets(1);
    stopSecond();
    await a.subscribe(topic, again.fn);
    await b.publish(topic, 2);
    await again.gets(2);
    assert.deepEqual([first.received, second.received.includes(2)], [[], false]);
  },

  async 'a function that subscribed twice is called twice, until each is stopped'({ a, b, topic, inbox }) {
    const heard = inbox();
    const stops = [await a.subscribe(topic, heard.fn), await a.subscribe(topic, heard.fn)];
    await b.publish(topic, 1);
    await heard.until('1 arrives twice', (all) => all.length >= 2);
    stops[0]!();
    stops[0]!();
    await b.publish(topic, 2);
    await heard.gets(2);
    stops[1]!();
    await b.publish(topic, 3);
    await exchange(a, `${topic}:after`, inbox());
    assert.ok(!heard.received.includes(3), 'both are stopped');
  },

  async 'what a subscriber throws stays with it'({ a, b, topic, inbox }) {
    const heard = inbox();
    const { error } = console;
    console.error = () => {};
    try {
      await a.subscribe(topic, () => {
        throw new Error('thrown by a subscriber, as it should be');
      });
      await a.subscribe(topic, heard.fn);
      for (const message of [1, 2]) {
        await b.publish(topic, message);
        await a.publish(topic, -message);
        await Promise.all([heard.gets(message), heard.gets(-message)]);
      }
    } finally {
      console.error = error;
    }
  },

  async 'subscriptions that come and go at once do not disturb each other'({ a, b, topic, inbox }) {
    const inboxes = Array.from({ length: 50 }, inbox);
    const stops = await Promise.all(inboxes.map(({ fn }, i) => a.subscribe(`${topic}:${i % 5}`, fn)));
    const passing = inbox();
    await Promise.all([
      ...stops.filter((_, i) => i % 2 === 0).map(async (stop) => stop()),
      ...inboxes.map((_, i) => a.subscribe(`${topic}:${i % 5}`, passing.fn).then((stop) => stop())),
    ]);
    for (let i = 0; i < 5; i++) await b.publish(`${topic}:${i}`, i);
    for (const [i, { gets, received }] of inboxes.entries()) {
      if (i % 2 === 1) await gets(i % 5);
      else assert.deepEqual(received, []);
    }
    assert.deepEqual(passing.received, []);
  },

  async 'a thousand topics'({ a, b, topic, inbox }) {
    const inboxes = Array.from({ length: 1000 }, inbox);
    await Promise.all(inboxes.map(({ fn }, i) => a.subscribe(`${topic}:${i}`, fn)));
    await Promise.all(inboxes.map((_, i) => b.publish(`${topic}:${i}`, i)));
    for (const [i, { gets, received }] of inboxes.entries()) {
      await gets(i);
      assert.ok(
        received.every((message) => message === i),
        'heard on its topic only',
      );
    }
  },

  async 'a message too large is refused with LIMIT_EXCEEDED, or arrives whole'({ a, b, topic, inbox }) {
    const heard = inbox();
    await a.subscribe(topic, heard.fn);
    const large = { text: 'large '.repeat(400_000) };
    const refusal = await refusalOf(b.publish(topic, large));
    if (refusal === null) await heard.gets(large);
    else assert.equal(refusal, 'LIMIT_EXCEEDED');
    await b.publish(topic, 'small');
    await heard.gets('small');
    if (refusal !== null) assert.deepEqual(heard.received, ['small']);
  },

  async 'closed, it refuses with CLOSED and delivers nothing more; the others go on'({ a, b, topic, inbox }) {
    const [atA, atB] = [inbox(), inbox()];
    const stop = await a.subscribe(topic, atA.fn);
    await b.subscribe(topic, atB.fn);
    await a.close();
    await a.close();
    stop();
    assert.equal(await refusalOf(a.publish(topic, 1)), 'CLOSED');
    assert.equal(await refusalOf(a.subscribe(topic, atA.fn)), 'CLOSED');
    if (b === a) return;
    await b.publish(topic, 2);
    await atB.gets(2);
    assert.deepEqual(atA.received, []);
  },

  async 'close leaves nothing open'({ a, b, topic, inbox, close, nothingIsOpen }) {
    await a.subscribe(topic, inbox().fn);
    for (const bus of [a, b]) await exchange(bus, topic, inbox());
    await close();
    await nothingIsOpen();
  },

  async 'a bus that was never used can be closed'({ a, close }) {
    const told: boolean[] = [];
    a.onConnection?.((connected) => told.push(connected))();
    await close();
    assert.deepEqual(told, []);
  },
};

const JSON_VALUES: unknown[] = [
  null,
  true,
  -1.5e-7,
  Number.MAX_SAFE_INTEGER,
  '',
  'Grüße, 世界, 🙂, \u0000, \u2028, \\n, "quoted", <b>, $1, %s',
  { a: [{ b: [[], {}, null, [[['deep']]]] }] },
  { '': 0, constructor: 1, 'with.dot': 2, ключ: 3 },
  JSON.parse('{ "__proto__": { "polluted": true } }'),
];

async function refusalOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error) => error?.code ?? error,
  );
}
