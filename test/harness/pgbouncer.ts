import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ensureProgram, findProgram, type Program } from './apt.js';
import { freePort } from './free-port.js';
import { serverUser } from './postgres-binaries.js';

const PLACES = [
  '/usr/sbin/pgbouncer',
  '/usr/bin/pgbouncer',
  '/usr/local/bin/pgbouncer',
  '/opt/homebrew/bin/pgbouncer',
];

/** A PgBouncer of a test's own, before a PostgreSQL server. */
export interface PgBouncer extends AsyncDisposable {
  /** The same database, through it. */
  through(url: string): string;
  /** Ends it. Idempotent. */
  close(): Promise<void>;
}

/** Where PgBouncer is, after installing it where we may. Takes a while then: ask in `beforeAll`. */
export function ensurePgBouncer(): Program {
  return ensureProgram('pgbouncer', PLACES);
}

/**
 * Starts it before the server of that URL; null where PgBouncer is not installed.
 *
 * @param settings its settings beside or instead of the defaults; `pool_mode` is `transaction`.
 */
export async function startPgBouncer(
  serverUrl: string,
  settings: Record<string, string> = {},
): Promise<PgBouncer | null> {
  const path = findProgram(PLACES);
  if (path === null) return null;
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'pgflow-pgbouncer-'));
  const config = writeConfig(folder, new URL(serverUrl), { listen_port: String(port), ...settings });
  // It refuses to run as root.
  const child = spawn(path, [config], { ...serverUser(), cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(child, 'exit');
  const kill = () => void child.kill('SIGKILL');
  process.on('exit', kill);
  const close = async () => {
    kill();
    await exited;
    process.off('exit', kill);
    rmSync(folder, { recursive: true, force: true });
  };
  const log: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`PgBouncer did not start:\n${log.join('\n')}`)));
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (log.push(line) > 100) log.shift();
      if (line.includes('process up')) resolve();
    });
  });
  return {
    through(url) {
      const pooled = new URL(url);
      pooled.host = `127.0.0.1:${port}`;
      return pooled.href;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function writeConfig(folder: string, server: URL, settings: Record<string, string>): string {
  const users = join(folder, 'users.txt');
  const config = join(folder, 'pgbouncer.ini');
  const all = {
    listen_addr: '127.0.0.1',
    unix_socket_dir: '',
    auth_type: 'trust',
    auth_file: users,
    pool_mode: 'transaction',
    default_pool_size: '10',
    max_client_conn: '200',
    ...settings,
  };
  const quoted = (text: string) => `"${decodeURIComponent(text).replaceAll('"', '""')}"`;
  writeFileSync(users, `${quoted(server.username)} ${quoted(server.password)}\n`);
  writeFileSync(
    config,
    [
      '[databases]',
      `* = host=${server.hostname} port=${server.port || 5432}`,
      '[pgbouncer]',
      ...Object.entries(all).map(([name, value]) => `${name} = ${value}`),
    ].join('\n'),
  );
  const user = serverUser();
  for (const path of [folder, users, config]) {
    chmodSync(path, path === folder ? 0o700 : 0o600);
    if (user) chownSync(path, user.uid, user.gid);
  }
  return config;
}
