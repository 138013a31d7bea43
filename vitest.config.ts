import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

/** Tests wait for signals; this only ends one whose signal never comes. */
const PATIENCE = 30_000;

export default defineConfig({
  // `pgflow-live/…` is the source, as tsconfig.json says.
  resolve: { tsconfigPaths: true },
  test: {
    pool: 'forks',
    maxWorkers: 2,
    allowOnly: false,
    teardownTimeout: PATIENCE,
    projects: [
      project('unit', { include: ['src/**/*.test.{ts,tsx}', '{scripts,bench}/**/*.test.ts'] }),
      project('types', {
        include: [],
        typecheck: {
          enabled: true,
          only: true,
          include: ['test/types/**/*.test-d.ts'],
          ignoreSourceErrors: true,
        },
      }),
      project('postgres', {
        include: ['test/{engine,e2e,harness}/**/*.test.{ts,tsx}'],
        globalSetup: './test/harness/global-setup.ts',
      }),
      project('browser', {
        include: ['test/browser/**/*.test.{ts,tsx}'],
        globalSetup: ['./test/harness/chromium-setup.ts', './test/harness/global-setup.ts'],
      }),
      project('chaos', {
        include: ['test/chaos/**/*.test.ts'],
        globalSetup: './test/harness/global-setup.ts',
      }),
    ],
  },
});

function project(name: string, test: TestProjectInlineConfiguration['test']): TestProjectInlineConfiguration {
  return {
    extends: true,
    test: { name, retry: 0, testTimeout: PATIENCE, hookTimeout: PATIENCE, ...test },
  };
}
