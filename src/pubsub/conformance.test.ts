import { describe, expect, test } from 'vitest';
import { pubsubConformance } from '../testing/pubsub-conformance.js';
import { memoryPubSub } from './memory.js';
import { mergePubSub } from './merged.js';
import type { PubSub } from './pubsub.js';

const twice = (bus: PubSub) => [bus, bus];

describe('memoryPubSub', () => {
  const cases = pubsubConformance({ open: async () => twice(memoryPubSub()) });
  test.each(cases)('$name', ({ run }) => run());
});

describe('mergePubSub', () => {
  const cases = pubsubConformance({ open: async () => twice(mergePubSub(memoryPubSub(), memoryPubSub())) });
  test.each(cases)('$name', ({ run }) => run());
});

describe('the suite goes red for a bus that', () => {
  /** A bus that does one thing wrong. */
  type Flaw = (bus: PubSub) => Partial<PubSub>;
  const FLAWS: Record<string, [flaw: Flaw, failing: string]> = {
    'loses every message': [() => ({ publish: async () => {} }), 'a message reaches'],
    'takes all topics for one': [
      (bus) => ({
        publish: (_, message) => bus.publish('', message),
        subscribe: (_, fn) => bus.subscribe('', fn),
      }),
      'topics do not mix',
    ],
    'makes text of what it carries': [
      (bus) => ({ publish: (topic, message) => bus.publish(topic, String(message)) }),
      'any JSON',
    ],
    'says too early that it listens': [
      (bus) => ({
        async subscribe(topic, fn) {
          const subscribed = new Promise((resolve) => setImmediate(resolve)).then(() =>
            bus.subscribe(topic, fn),
          );
          return () => void subscribed.then((stop) => stop());
        },
      }),
      'after subscribe has resolved',
    ],
    'does not stop': [
      (bus) => ({ subscribe: (topic, fn) => bus.subscribe(topic, fn).then(() => () => {}) }),
      'nothing arrives after stop',
    ],
    'stops all of a topic': [
      (bus) => {
        const stops: (() => void)[] = [];
        return {
          subscribe: async (topic, fn) => {
            stops.push(await bus.subscribe(topic, fn));
            return () => stops.forEach((stop) => void stop());
          },
        };
      },
      'of two subscriptions',
    ],
    'knows a function once': [
      (bus) => {
        const known = new Map<unknown, Promise<() => void>>();
        return {
          subscribe: (topic, fn) => {
            known.set(fn, known.get(fn) ?? bus.subscribe(topic, fn));
            return known.get(fn)!;
          },
        };
      },
      'twice is called twice',
    ],
    'cuts off what is too long': [
      (bus) => ({
        publish: (topic, message) => bus.publish(topic, JSON.parse(JSON.stringify(message).slice(0, 9e5))),
      }),
      'too large',
    ],
    'goes on when it is closed': [() => ({ close: async () => {} }), 'CLOSED'],
    'leaves a timer': [
      // Timer: what the suite has to find.
      () => ({ close: async () => void setTimeout(() => {}, 5000) }),
      'nothing open',
    ],
  };

  function flawed(flaw: Flaw): PubSub[] {
    const bus = memoryPubSub();
    const parts = {
      publish: bus.publish.bind(bus),
      subscribe: bus.subscribe.bind(bus),
      close: bus.close.bind(bus),
    };
    return twice({ ...parts, ...flaw(bus) });
  }

  test.each(Object.entries(FLAWS))('%s', async (_, [flaw, failing]) => {
    const cases = pubsubConformance({ open: async () => flawed(flaw), timeout: 0.3 });
    const found = cases.filter(({ name }) => name.includes(failing));
    expect(found).toHaveLength(1);
    await expect(found[0]!.run()).rejects.toThrow();
  });
});
