import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const BENCH = dirname(import.meta.dirname);

const FOLDER = join(BENCH, 'peers');
/** What the most demanding of them wants. */
const LEAST_NODE = [22, 18];

/** Installs the peers, if that was not done since their lock file changed. They are no part of the project's own. */
export function installPeers(): void {
  const lock = join(FOLDER, 'package-lock.json');
  const installed = join(FOLDER, 'node_modules/.package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  console.log('Installing the peers into bench/peers …');
  // They want a newer Node.js than npm runs on here, and none needs its install scripts.
  const flags = ['--engine-strict=false', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['ci', ...flags], { cwd: FOLDER, stdio: 'inherit' });
}

/** What is compared runs on one Node.js: the one installed with the peers, where there is one, else ours if it will do. */
export function nodeBinary(): string {
  const { platform, arch, versions, execPath } = process;
  const installed = join(FOLDER, `node_modules/node-${platform}-${arch}/bin/node`);
  if (existsSync(installed)) return installed;
  const [major = 0, minor = 0] = versions.node.split('.').map(Number);
  if (major > LEAST_NODE[0]! || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1]!)) return execPath;
  throw new Error(
    `The peers need Node.js ${LEAST_NODE.join('.')} or newer, and no package has it for ${platform}-${arch}.`,
  );
}

export function versionOfPeer(name: string): string {
  return JSON.parse(readFileSync(join(FOLDER, 'node_modules', name, 'package.json'), 'utf8')).version;
}

export function versionOfNode(): string {
  return execFileSync(nodeBinary(), ['--version'], { encoding: 'utf8' }).trim();
}
