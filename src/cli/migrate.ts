import { Command } from 'commander';
import { migrate } from '../postgres/migrate.js';
import { repairFunctions } from '../postgres/repair.js';
import { databaseOptions, withDatabase } from './database-options.js';

export function migrateCommand(): Command {
  return databaseOptions(new Command('migrate'))
    .description('Bring the schema up to date: all in one transaction, safe to run from many places at once.')
    .option('--repair', 'make all functions again, when the doctor says that some are missing or altered')
    .addHelpText(
      'after',
      `
Examples:
  $ DATABASE_URL=postgres://app@db/app npx pgflow-live migrate
  $ npx pgflow-live migrate --database postgres://app@db/app --schema flows
  $ npx pgflow-live migrate            # the embedded database in .pgflow/`,
    )
    .action((options) =>
      withDatabase(options, async (database, schema) => {
        const applied = await (options.repair ? repairFunctions : migrate)(database, schema);
        const what =
          applied.length > 0 ? `applied ${applied.join(', ')}` : 'functions and tables are up to date';
        console.log(`Schema ${schema} in ${database.location}: ${what}.`);
      }),
    );
}
