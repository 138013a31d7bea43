import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from './free-port.js';
import { claimScratch, removeLeftovers, SCRATCH_PREFIX } from './leftovers.js';
import { findPostgresBinaries, type ServerUser, serverUser } from './postgres-binaries.js';

/** How a server is brought down: `fast` ends sessions and shuts down cleanly, `immediate` is a crash. */
export type ShutdownMode = 'fast' | 'immediate';

/**
 * Commits reach the kernel, not the disk (`fsync` off): they survive a crash of PostgreSQL, as
 * the fault tests need, not one of the machine.
 */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  fsync: 'off',
  full_page_writes: 'off',
  lc_messages: 'C',
};

/**
 * A throw-away PostgreSQL server with a data folder of its own, below the temporary folder.
 *
 * Modes: `running ⇄ down → removed`. A server of a killed test run is stopped by the next start.
 *
 * @example
 * const server = await startPostgres();
 * await server.restart('immediate');
 * await server.remove();
 */
export class PostgresServer {
  readonly port: number;
  /** What runs, e.g. `postgres (PostgreSQL) 18.4`. */
  readonly name: string;
  readonly #scratch: string;
  readonly #bin: string;
  readonly #user: ServerUser | null;
  readonly #password: string;
  readonly #settings: Record<string, string>;
  #mode: 'running' | 'down' | 'removed' = 'down';
  #process: ChildProcess | null = null;

  constructor(init: {
    port: number;
    name: string;
    scratch: string;
    bin: string;
    user: ServerUser | null;
    password: string;
    settings: Record<string, string>;
  }) {
    this.port = init.port;
    this.name = init.name;
    this.#scratch = init.scratch;
    this.#bin = init.bin;
    this.#user = init.user;
    this.#password = init.password;
    this.#settings = init.settings;
  }

  /** Of the superuser `postgres`, in the database `postgres` unless told. */
  url(database = 'postgres', port = this.port): string {
    return `postgres://postgres:${this.#password}@127.0.0.1:${port}/${database}`;
  }

  async restart(mode: ShutdownMode): Promise<void> {
    await this.shutDown(mode);
    await this.start();
  }

  async shutDown(mode: ShutdownMode): Promise<void> {
    if (this.#process === null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await exited;
  }

  /** Starts it, or starts it again after `shutDown`, on the same port with the same data. */
  async start(): Promise<void> {
    if (this.#mode !== 'down') throw new Error(`This server is ${this.#mode}.`);
    const options = Object.entries(this.#settings).map(([name, value]) => `--${name}=${value}`);
    const child = spawn(
      join(this.#bin, 'postgres'),
      ['-D', join(this.#scratch, 'data'), '-p', String(this.port), ...options],
      { ...this.#user, cwd: this.#scratch, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const log: string[] = [];
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${log.join('\n')}`)));
      createInterface({ input: child.stderr }).on('line', (line) => {
        if (log.push(line) > 100) log.shift();
        if (line.includes('database system is ready to accept connections')) resolve();
      });
    });
    this.#become('running', child);
    child.once('exit', () => {
      if (this.#process === child) this.#become('down', null);
    });
  }

  /** Stops the server and deletes its data. Idempotent. */
  async remove(): Promise<void> {
    await this.shutDown('fast');
    this.removeNow();
  }

  /** The same without waiting, for the exit of the process. */
  removeNow(): void {
    if (this.#mode === 'removed') return;
    this.#process?.kill('SIGQUIT');
    this.#become('removed', null);
    running.delete(this);
    rmSync(this.#scratch, { recursive: true, force: true, maxRetries: 3 });
  }

  #become(mode: 'running' | 'down' | 'removed', child: ChildProcess | null): void {
    this.#mode = mode;
    this.#process = child;
  }
}

const running = new Set<PostgresServer>();
process.on('exit', () => {
  for (const server of running) server.removeNow();
});

/**
 * Starts a server of its own for whoever asks; fault tests restart theirs, the others share one.
 *
 * @param settings server settings beside or instead of the defaults, e.g. `{ max_connections: '20' }`.
 */
export async function startPostgres(settings: Record<string, string> = {}): Promise<PostgresServer> {
  await removeLeftovers(tmpdir());
  const user = serverUser();
  const scratch = mkdtempSync(join(tmpdir(), SCRATCH_PREFIX));
  try {
    claimScratch(scratch);
    if (user) chownSync(scratch, user.uid, user.gid);
    const { bin, name } = findPostgresBinaries(scratch, user);
    const password = randomUUID();
    initialise(bin, scratch, user, password);
    const init = { name, scratch, bin, user, password, settings: { ...SETTINGS, ...settings } };
    const server = await startOnFreePort((port) => new PostgresServer({ ...init, port }));
    running.add(server);
    return server;
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true });
    throw error;
  }
}

function initialise(bin: string, scratch: string, user: ServerUser | null, password: string): void {
  const passwordFile = join(scratch, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (user) chownSync(passwordFile, user.uid, user.gid);
  chmodSync(scratch, 0o700);
  const { status, stderr, error } = spawnSync(
    join(bin, 'initdb'),
    [
      `--pgdata=${join(scratch, 'data')}`,
      '--username=postgres',
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--no-locale',
      '--no-sync',
    ],
    { ...user, cwd: scratch, encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`initdb failed in ${scratch}: ${error?.message ?? stderr}`);
}

/** Another process may take the port between the look and the start, so a second and a third are tried. */
async function startOnFreePort(
  serverOn: (port: number) => PostgresServer,
  tries = 3,
): Promise<PostgresServer> {
  const server = serverOn(await freePort());
  try {
    await server.start();
    return server;
  } catch (error) {
    if (tries === 1) throw error;
    return startOnFreePort(serverOn, tries - 1);
  }
}
