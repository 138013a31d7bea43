import { afterEach, expect, it, vi } from 'vitest';
import { memoryPubSub } from './memory.js';

afterEach(() => vi.restoreAllMocks());

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

it('delivers to all subscribers of the topic, in order, after publish has returned', async () => {
  const pubsub = memoryPubSub();
  const heard: unknown[] = [];
  await pubsub.subscribe('a', (message) => heard.push(['first', message]));
  await pubsub.subscribe('a', (message) => heard.push(['second', message]));
  await pubsub.subscribe('b', () => heard.push('another topic'));
  void pubsub.publish('a', 1);
  void pubsub.publish('a', { x: 2 });
  expect(heard).toEqual([]);
  await settled();
  expect(heard).toEqual([
    ['first', 1],
    ['second', 1],
    ['first', { x: 2 }],
    ['second', { x: 2 }],
  ]);
});

it('calls nobody who has stopped, not even for a message under way', async () => {
  const pubsub = memoryPubSub();
  const fn = vi.fn();
  const stop = await pubsub.subscribe('a', fn);
  const kept = vi.fn();
  await pubsub.subscribe('a', kept);
  void pubsub.publish('a', 1);
  stop();
  stop();
  await settled();
  expect(fn).not.toHaveBeenCalled();
  expect(kept).toHaveBeenCalledOnce();
});

it('calls a function that subscribed twice twice, until each is stopped', async () => {
  const pubsub = memoryPubSub();
  const fn = vi.fn();
  const stop = await pubsub.subscribe('a', fn);
  await pubsub.subscribe('a', fn);
  await pubsub.publish('a', 1);
  await settled();
  stop();
  await pubsub.publish('a', 2);
  await settled();
  expect(fn.mock.calls).toEqual([[1], [1], [2]]);
});

it('keeps what a subscriber throws from the others and from the publisher', async () => {
  const reported = vi.spyOn(console, 'error').mockImplementation(() => {});
  const pubsub = memoryPubSub();
  const fn = vi.fn();
  await pubsub.subscribe('a', () => {
    throw new Error('mine');
  });
  await pubsub.subscribe('a', fn);
  await pubsub.publish('a', 1);
  await settled();
  expect(fn).toHaveBeenCalledOnce();
  expect(reported).toHaveBeenCalledOnce();
});

it('drops all when it is closed', async () => {
  const pubsub = memoryPubSub();
  const fn = vi.fn();
  const stop = await pubsub.subscribe('a', fn);
  void pubsub.publish('a', 1);
  await pubsub.close();
  await pubsub.close();
  await settled();
  expect(fn).not.toHaveBeenCalled();
  stop();
  await expect(pubsub.publish('a', 1)).rejects.toMatchObject({ code: 'CLOSED' });
  await expect(pubsub.subscribe('a', fn)).rejects.toMatchObject({ code: 'CLOSED' });
});
