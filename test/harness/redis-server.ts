import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { ensureProgram, findProgram, type Program } from './apt.js';
import { freePort } from './free-port.js';

const PLACES = ['/usr/bin/redis-server', '/usr/local/bin/redis-server', '/opt/homebrew/bin/redis-server'];

/** A throw-away Redis that keeps nothing. Modes: `running ⇄ down`. */
export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  /** As it dies of `kill -9`. */
  kill(): Promise<void>;
  /** Again, on the same port. */
  start(): Promise<void>;
  /** The connections of clients, but for the one that asks. */
  clients(): Promise<string[]>;
  /** Cuts all of them off, or those of one type. */
  cutClients(type?: 'normal' | 'pubsub'): Promise<void>;
  /** Ends it. Idempotent. */
  close(): Promise<void>;
}

/** Where Redis is, after installing it where we may. Takes a while then: ask in `beforeAll`. */
export function ensureRedis(): Program {
  return ensureProgram('redis-server', PLACES);
}

/** A running server; null where Redis is not installed. */
export async function startRedis(path = findProgram(PLACES)): Promise<RedisServer | null> {
  if (path === null) return null;
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  let child: ChildProcess | null = null;

  const start = async () => {
    child = await launch(path, port);
  };
  const close = async () => {
    const ending = child;
    child = null;
    if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return;
    const exited = once(ending, 'exit');
    ending.kill('SIGKILL');
    await exited;
  };
  const ask = async <T>(question: (admin: Redis) => Promise<T>): Promise<T> => {
    const admin = new Redis(url, { connectionName: 'admin' });
    try {
      return await question(admin);
    } finally {
      admin.disconnect();
    }
  };
  await start();
  return {
    url,
    start,
    close,
    kill: close,
    clients: () =>
      ask(async (admin) => {
        const list = String(await admin.client('LIST'))
          .trim()
          .split('\n');
        return list.filter((client) => !client.includes('name=admin'));
      }),
    cutClients: (only) =>
      ask(async (admin) => {
        for (const type of only ? [only] : ['normal', 'pubsub']) {
          await admin.call('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
        }
      }),
    [Symbol.asyncDispose]: close,
  };
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

async function launch(path: string, port: number): Promise<ChildProcess> {
  const settings = { port: String(port), bind: '127.0.0.1', save: '', appendonly: 'no', daemonize: 'no' };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn(path, args, { cwd: '/', stdio: ['ignore', 'pipe', 'ignore'] });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const log: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`Redis did not start:\n${log.join('\n')}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (log.push(line) > 100) log.shift();
      if (/ready to accept connections/i.test(line)) resolve();
    });
  });
  return child;
}
