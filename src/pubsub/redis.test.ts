import { Cluster, Redis } from 'ioredis';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { memoryPubSub } from './memory.js';
import { redisPubSub } from './redis.js';

/** A port where nobody listens. */
const NOBODY = 'redis://:s3cret@127.0.0.1:1';

let warned: ReturnType<typeof vi.spyOn>;
beforeEach(() => {
  warned = vi.spyOn(console, 'warn').mockImplementation(() => {});
  onTestFinished(() => warned.mockRestore());
});

describe('what it takes', () => {
  test.each([
    undefined,
    '',
    'localhost:6379',
    'http://u:s3cret@host',
    'redis://',
    'redis://a b',
    42,
    null,
    {},
    memoryPubSub(),
  ])('not %s', (value) => {
    const refused = () => redisPubSub(value as never);
    expect(refused).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
    expect(refused).not.toThrow(/s3cret/);
  });

  test.each([{ payload: 'hints' }, { payload: true }, { prefix: 5 }, 'shop:'])(
    'not the options %j',
    (options) => {
      const [path] = typeof options === 'object' ? Object.keys(options) : [''];
      expect(() => redisPubSub(NOBODY, options as never)).toThrow(
        expect.objectContaining({
          code: 'INVALID_INPUT',
          data: { issues: [{ path, message: expect.any(String) }] },
        }),
      );
    },
  );

  test('options that are null or undefined are the defaults', () => {
    for (const options of [null, { payload: undefined, prefix: null }]) {
      expect(redisPubSub(NOBODY, options as never).payload).toBe('inline');
    }
  });

  test('not a cluster', () => {
    const cluster = new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true });
    expect(() => redisPubSub(cluster as never)).toThrow(/no cluster/);
  });

  test('an instance, which it leaves alone', async () => {
    const given = new Redis({ port: 1, lazyConnect: true });
    const bus = redisPubSub(given);
    await expect(bus.publish('a', 1)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await bus.close();
    expect(given.status).toBe('wait');
  });
});

describe('when nobody answers', () => {
  function open() {
    const bus = redisPubSub(NOBODY);
    onTestFinished(() => bus.close());
    return bus;
  }

  test('publish rejects, each time, and warns once, without the password', async () => {
    const bus = open();
    for (let i = 0; i < 3; i++)
      await expect(bus.publish('a', i)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    expect(warned).toHaveBeenCalledOnce();
    expect(String(warned.mock.calls[0])).toContain('ECONNREFUSED');
    expect(String(warned.mock.calls[0])).not.toContain('s3cret');
  });

  test('subscribe resolves, and the watchers know, also those who come later', async () => {
    const bus = open();
    const told: unknown[] = [];
    bus.onConnection!((connected) => told.push(connected));
    await bus.subscribe('a', () => {});
    expect(told).toEqual([false]);
    bus.onConnection!((connected) => told.push(['late', connected]));
    expect(told).toEqual([false, ['late', false]]);
  });

  test('it can be closed while it tries', async () => {
    const bus = open();
    const [publish, subscribe] = [bus.publish('a', 1), bus.subscribe('a', () => {})];
    publish.catch(() => {});
    await bus.close();
    await expect(publish).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await subscribe;
    await expect(bus.publish('a', 1)).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

test('a message of more than 512 KiB is refused before anything is opened', async () => {
  const bus = redisPubSub(NOBODY);
  await expect(bus.publish('a', 'ü'.repeat(2 ** 18))).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  expect(warned).not.toHaveBeenCalled();
});
