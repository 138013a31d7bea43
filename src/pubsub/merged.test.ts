import { expect, test, vi } from 'vitest';
import { mergePubSub } from './merged.js';
import type { PubSub } from './pubsub.js';

/** A bus whose connection the test cuts, and which may refuse. */
function createBus() {
  const watchers = new Set<(connected: boolean) => void>();
  const subscribers = new Set<(message: unknown) => void>();
  const bus = {
    isRefusing: false,
    subscribers,
    watchers,
    setConnected: (connected: boolean) => watchers.forEach((fn) => void fn(connected)),
    publish: async () => {},
    subscribe: async (_: string, fn: (message: unknown) => void) => {
      if (bus.isRefusing) throw new Error('refused');
      subscribers.add(fn);
      return () => void subscribers.delete(fn);
    },
    onConnection: (fn: (connected: boolean) => void) => {
      watchers.add(fn);
      return () => void watchers.delete(fn);
    },
    close: async () => {},
  } satisfies PubSub & Record<string, unknown>;
  return bus;
}

function createMerged() {
  const [bus, notifications] = [createBus(), createBus()];
  const merged = mergePubSub(bus, notifications);
  const told: boolean[] = [];
  const stop = merged.onConnection!((connected) => told.push(connected));
  return { bus, notifications, merged, told, stop };
}

test('the connection is the bus’s', () => {
  const { bus, told } = createMerged();
  bus.setConnected(false);
  bus.setConnected(true);
  expect(told).toEqual([false, true]);
});

test('notifications that are lost do not make it lost; when they are back, all is to be read again', () => {
  const { notifications, told } = createMerged();
  notifications.setConnected(false);
  expect(told).toEqual([]);
  notifications.setConnected(true);
  expect(told).toEqual([false, true]);
});

test('notifications that come back while the bus is away change nothing: its return reads all again', () => {
  const { bus, notifications, told } = createMerged();
  notifications.setConnected(false);
  bus.setConnected(false);
  notifications.setConnected(true);
  expect(told).toEqual([false]);
  bus.setConnected(true);
  expect(told).toEqual([false, true]);
});

test('each watcher stops by itself, and leaves nothing with either bus', () => {
  const { bus, notifications, merged, told, stop } = createMerged();
  const other = vi.fn();
  const stopOther = merged.onConnection!(other);
  stop();
  bus.setConnected(false);
  expect([told, other.mock.calls]).toEqual([[], [[false]]]);
  stopOther();
  expect([bus.watchers.size, notifications.watchers.size]).toEqual([0, 0]);
});

test.each(['bus', 'notifications'] as const)(
  'when the %s refuses, nothing stays with the other',
  async (refusing) => {
    const { bus, notifications, merged } = createMerged();
    ({ bus, notifications })[refusing].isRefusing = true;
    await expect(merged.subscribe('a', () => {})).rejects.toThrow('refused');
    expect([bus.subscribers.size, notifications.subscribers.size]).toEqual([0, 0]);
  },
);
