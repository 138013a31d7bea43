import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../../test/harness/free-port.js';

export interface RedisServer {
  readonly url: string;
  readonly name: string;
  remove(): Promise<void>;
}

/** A throw-away Redis that keeps nothing on disk: a reference for what that is worth. Null, loudly, if there is none. */
export async function startRedis(): Promise<RedisServer | null> {
  const name = versionOf() ?? (installRedis() ? versionOf() : null);
  if (name === null) {
    console.warn(
      'SKIPPED: BullMQ. There is no redis-server here; install your system’s, then run this again.',
    );
    return null;
  }
  const folder = mkdtempSync(join(tmpdir(), 'pgflow-redis-'));
  const port = await freePort();
  const child = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--appendonly', 'no', '--save', ''],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  const removeNow = () => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', removeNow);
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.includes('Ready to accept connections')) resolve();
    });
    exited.then(() => reject(new Error('redis-server did not start.')));
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    name,
    async remove() {
      child.kill();
      await exited;
      process.off('exit', removeNow);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** E.g. `Redis 7.0.15`. */
function versionOf(): string | null {
  const { status, stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
  return status === 0 ? `Redis ${/v=(\S+)/.exec(stdout)?.[1]}` : null;
}

function installRedis(): boolean {
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).status !== 0) return false;
  console.log('Installing redis-server by apt-get …');
  try {
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit' });
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'redis-server'], {
      stdio: 'inherit',
      // Its own server is not wanted, only the program.
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    });
    return true;
  } catch {
    return false;
  }
}
