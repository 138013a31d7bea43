import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { PgFlowError } from '../errors.js';
import { doctorCommand } from './doctor.js';
import { migrateCommand } from './migrate.js';
import { pruneCommand } from './prune.js';
import { printable } from './terminal.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('pgflow-live')
  .description('Durable flows and jobs on plain PostgreSQL, watched live.')
  .version(version)
  .showHelpAfterError('(see --help)');
for (const command of [migrateCommand(), doctorCommand(), pruneCommand()]) {
  program.addCommand(command.copyInheritedSettings(program));
}

try {
  await program.parseAsync();
} catch (error) {
  console.error(describe(error));
  process.exitCode = 1;
}

/** Of our own errors the message is all that counts; of others the stack, line by line. */
function describe(error: unknown): string {
  if (error instanceof PgFlowError) return printable(`${error.code}: ${error.message}`);
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return text.split('\n').map(printable).join('\n');
}
