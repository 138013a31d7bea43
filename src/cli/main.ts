#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { PgFlowError } from '../errors.js';
import { migrateCommand } from './migrate.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('pgflow-live')
  .description('Durable flows and jobs on plain PostgreSQL, watched live.')
  .version(version)
  .showHelpAfterError('(see --help)')
  .addCommand(migrateCommand());

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof PgFlowError ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
}
