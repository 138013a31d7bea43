import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { type NotificationChannel, postgresPubSub } from './postgres.js';
import type { PubSub } from './pubsub.js';

let warned: ReturnType<typeof vi.spyOn>;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  warned = vi.spyOn(console, 'warn').mockImplementation(() => {});
  onTestFinished(() => {
    vi.useRealTimers();
    warned.mockRestore();
  });
});

/** A channel whose connections the test has in its hands. */
class ScriptedChannel implements NotificationChannel {
  readonly open = new Set<{ onPayload: (payload: string) => void; onLost: (error: Error) => void }>();
  /** How many were opened until now. */
  opened = 0;
  isPooled = false;
  isRefusing = false;
  ping: () => Promise<void> = async () => {};
  beforeListening: (onLost: (error: Error) => void) => void = () => {};

  async notify(payloads: readonly string[]): Promise<void> {
    if (this.isRefusing) throw new Error('refused');
    if (this.isPooled) return;
    for (const { onPayload } of this.open) for (const payload of payloads) onPayload(payload);
  }

  async listen(onPayload: (payload: string) => void, onLost: (error: Error) => void) {
    const listener = { onPayload, onLost };
    this.opened += 1;
    this.open.add(listener);
    this.beforeListening(onLost);
    return { ping: () => this.ping(), stop: async () => void this.open.delete(listener) };
  }

  lose(): void {
    for (const listener of [...this.open]) {
      this.open.delete(listener);
      listener.onLost(new Error('lost'));
    }
  }
}

async function createBus(channel: ScriptedChannel): Promise<{ bus: PubSub; told: boolean[] }> {
  const bus = postgresPubSub().open(channel);
  onTestFinished(() => bus.close());
  const told: boolean[] = [];
  bus.onConnection!((connected) => told.push(connected));
  const subscribed = bus.subscribe('a', () => {});
  await vi.advanceTimersByTimeAsync(5_000);
  await subscribed;
  return { bus, told };
}

const minutes = (count: number) => vi.advanceTimersByTimeAsync(count * 60_000);

test('listens over one connection for as long as its pings are answered', async () => {
  const channel = new ScriptedChannel();
  const { told } = await createBus(channel);
  await minutes(10);
  expect([channel.opened, channel.open.size, told]).toEqual([1, 1, []]);
});

test('a session that was reset is replaced', async () => {
  const channel = new ScriptedChannel();
  const { told } = await createBus(channel);
  channel.ping = async () => {
    channel.ping = async () => {};
    throw new Error('The connection listens no more.');
  };
  await minutes(1);
  expect([channel.opened, channel.open.size, told]).toEqual([2, 1, [false, true]]);
});

test('a connection that does not answer is replaced', async () => {
  const channel = new ScriptedChannel();
  const { told } = await createBus(channel);
  channel.ping = () => {
    channel.ping = async () => {};
    return new Promise(() => {});
  };
  await minutes(1);
  expect([channel.opened, channel.open.size, told]).toEqual([2, 1, [false, true]]);
});

test('behind a transaction pooler: one warning however long, and one connection at a time', async () => {
  const channel = new ScriptedChannel();
  channel.isPooled = true;
  channel.ping = () => Promise.reject(new Error('The connection listens no more.'));
  const { told } = await createBus(channel);
  await minutes(30);
  expect(channel.opened).toBeGreaterThan(2);
  expect([channel.open.size, told]).toEqual([1, [false]]);
  expect(warned).toHaveBeenCalledOnce();
});

test('deaf because the server took its time: it hears itself a minute later', async () => {
  const channel = new ScriptedChannel();
  channel.isPooled = true;
  const { told } = await createBus(channel);
  channel.isPooled = false;
  await minutes(2);
  expect([channel.opened, told]).toEqual([1, [false, true]]);
});

test('lost while it is tested: not taken for deaf', async () => {
  const channel = new ScriptedChannel();
  channel.isPooled = true;
  const bus = postgresPubSub().open(channel);
  onTestFinished(() => bus.close());
  const subscribed = bus.subscribe('a', () => {});
  await vi.waitFor(() => expect(channel.open.size).toBe(1));
  channel.isPooled = false;
  channel.lose();
  await subscribed;
  await minutes(1);
  expect([channel.opened, channel.open.size]).toEqual([2, 1]);
  expect(warned).not.toHaveBeenCalled();
});

test('lost before listen has resolved: opened again', async () => {
  const channel = new ScriptedChannel();
  channel.beforeListening = () => {
    channel.beforeListening = () => {};
    channel.lose();
  };
  const { told } = await createBus(channel);
  expect([channel.opened, channel.open.size, told]).toEqual([2, 1, [false, true]]);
});

test('a test that cannot be sent leaves no connection behind', async () => {
  const channel = new ScriptedChannel();
  channel.isRefusing = true;
  const { told } = await createBus(channel);
  expect([channel.open.size, told]).toEqual([0, [false]]);
  channel.isRefusing = false;
  await minutes(1);
  expect([channel.open.size, told]).toEqual([1, [false, true]]);
});

test.each([false, true])(
  'closed while it is tested (pooled: %s): it ends at once, and stays closed',
  async (isPooled) => {
    const channel = new ScriptedChannel();
    channel.isPooled = isPooled;
    const bus = postgresPubSub().open(channel);
    const subscribed = bus.subscribe('a', () => {});
    await vi.waitFor(() => expect(channel.open.size).toBe(1));
    await bus.close();
    await subscribed;
    await expect(bus.publish('a', 1)).rejects.toMatchObject({ code: 'CLOSED' });
    expect([channel.open.size, vi.getTimerCount()]).toEqual([0, 0]);
  },
);

test('a payload that is none is refused: a slip must not send what was not to be sent', () => {
  for (const options of [{ payload: 'hints' }, { payload: true }, 'hint']) {
    expect(() => postgresPubSub(options as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    );
  }
  expect(postgresPubSub(null as never).kind).toBe('postgres');
});
