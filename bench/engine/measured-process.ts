import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Figures, parseFigures } from '../measured/assignment.js';
import { BENCH, nodeBinary } from './peers.js';

const running = new Set<number>();
process.on('exit', () => {
  for (const pid of running) endGroup(pid);
});

export interface ProcessOptions {
  readonly flags?: readonly string[];
  /** Seconds after which it is given up. Default 180. */
  readonly limit?: number;
  /** What it prints beside its figures. */
  readonly onLine?: (line: string) => void;
}

/**
 * Runs a program of bench/ in a process of its own, on the peers' Node.js, with one JSON argument.
 *
 * @returns what it printed as figures; none when it prints none.
 * @throws when it fails, with the last that it said.
 */
export async function runMeasured(
  program: string,
  argument: unknown,
  { flags = [], limit = 180, onLine = () => {} }: ProcessOptions = {},
): Promise<Figures> {
  const child = spawn(
    nodeBinary(),
    [...flags, '--import', 'tsx', join(BENCH, program), JSON.stringify(argument)],
    {
      cwd: dirname(BENCH),
      // With what it starts, so that nothing outlives it.
      detached: true,
      env: {
        ...process.env,
        NODE_ENV: 'production',
        NODE_NO_WARNINGS: '1',
        TSX_TSCONFIG_PATH: join(BENCH, 'tsconfig.measured.json'),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const pid = child.pid!;
  running.add(pid);
  const said: string[] = [];
  let figures: Figures = {};
  const read = (line: string) => {
    const found = parseFigures(line);
    if (found) figures = found;
    else {
      said.push(line);
      onLine(line);
    }
  };
  createInterface({ input: child.stdout }).on('line', read);
  createInterface({ input: child.stderr }).on('line', read);
  const timer = setTimeout(() => {
    said.push(`Given up after ${limit} s.`);
    endGroup(pid);
  }, limit * 1000);
  const [code, signal] = await once(child, 'close');
  clearTimeout(timer);
  endGroup(pid);
  running.delete(pid);
  if (code !== 0) throw new Error(`${program} ended with ${code ?? signal}:\n${said.slice(-15).join('\n')}`);
  return figures;
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it is gone already.
  }
}
