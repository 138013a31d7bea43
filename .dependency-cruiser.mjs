import { builtinModules } from 'node:module';

/**
 * Imports run one way: define ← store ← run, tell ← watch ← carry, show. What each folder of
 * src may import besides itself stands here; type imports count. Tests beside the code are free.
 */
const MAY_IMPORT = {
  errors: [],
  flow: ['errors'],
  run: ['flow', 'errors'],
  telemetry: ['run', 'flow', 'errors'],
  postgres: ['telemetry', 'run', 'flow', 'errors'],
  worker: ['postgres', 'telemetry', 'run', 'flow', 'errors'],
  pubsub: ['telemetry', 'run', 'flow', 'errors'],
  live: ['run', 'flow', 'errors'],
  http: ['live', 'run', 'flow', 'errors'],
  ui: ['http', 'live', 'run', 'flow', 'errors'],
  dashboard: ['http', 'live', 'run', 'flow', 'errors'],
  testing: ['index', 'live', 'pubsub', 'worker', 'postgres', 'telemetry', 'run', 'flow', 'errors'],
  cli: ['index', 'dashboard', 'http', 'postgres', 'run', 'flow', 'errors'],
};

/** What must bundle for a browser: no Node built-in, directly or through others. */
const BROWSER = '^src/(errors[.]ts|flow/|run/|live/live-run[.]ts|http/client[^/]*[.]ts|ui/|dashboard/app/)';
const NODE_ONLY = `^(node:)?(${builtinModules.join('|')})$|(^|/)node_modules/(pg|@electric-sql/pglite)/`;
const TESTS = '[.](test|test-support)[.]tsx?$';

const inFolders = (folders) => `^src/(${folders.map((folder) => `${folder}[./-]`).join('|')})`;

export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one file, or miss a third. Type imports count.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    ...Object.entries(MAY_IMPORT).map(([folder, allowed]) => ({
      name: `${folder}-imports-one-way`,
      comment: `src/${folder} may import ${allowed.join(', ') || 'nothing else of src'}. Only the composition root (src/index.ts, runtime.ts, announcer.ts, audience.ts, pgflow.ts) sees all.`,
      severity: 'error',
      from: { path: inFolders([folder]), pathNot: TESTS },
      to: { path: '^src/', pathNot: inFolders([folder, ...allowed]) },
    })),
    {
      name: 'index-leads',
      comment: 'The composition root does not need the command line or the testing kit.',
      severity: 'error',
      from: { path: '^src/(announcer|audience|index|runtime|pgflow)[.]ts$' },
      to: { path: '^src/(cli|testing|dashboard/app)/' },
    },
    {
      name: 'known-folder',
      comment: 'A new folder of src needs a place in the order: add it to MAY_IMPORT.',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot: [
          inFolders(Object.keys(MAY_IMPORT)),
          '^src/(announcer|audience|index|runtime|pgflow)[.]ts$',
          TESTS,
        ],
      },
      to: {},
    },
    {
      name: 'no-node-in-the-browser',
      comment: 'These files are bundled for browsers, with all that they import, near and far.',
      severity: 'error',
      from: { path: BROWSER, pathNot: TESTS },
      to: { path: NODE_ONLY, reachable: true },
    },
    {
      name: 'no-server-in-the-browser',
      comment: 'Of src/http, browsers get the client and what it needs, not the handler.',
      severity: 'error',
      from: { path: BROWSER, pathNot: TESTS },
      to: { path: '^src/http/(handler|node)[.]ts$', reachable: true },
    },
    {
      name: 'drivers-in-postgres-only',
      comment: 'All SQL goes through the Database port of src/postgres.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/(postgres|testing)/', TESTS] },
      to: { path: '(^|/)node_modules/(pg|@types/pg|@electric-sql/pglite)/' },
    },
    {
      name: 'redis-on-its-own-subpath',
      comment: 'Who installs no ioredis must be able to load all but `pgflow-live/redis`.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/pubsub/redis(-connection)?[.]ts$', TESTS] },
      to: { path: '(^|/)node_modules/ioredis/|^src/pubsub/redis(-connection)?[.]ts$' },
    },
    {
      name: 'no-dev-dependency-in-the-package',
      comment: 'Whoever installs the package does not get devDependencies.',
      severity: 'error',
      from: { path: '^src/', pathNot: [TESTS, '^src/dashboard/app/'] },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'],
        dependencyTypesNot: ['npm', 'npm-peer', 'npm-optional'],
        pathNot: '(^|/)node_modules/@types/',
      },
    },
    {
      name: 'nothing-but-src-in-the-package',
      severity: 'error',
      from: { path: '^src/', pathNot: TESTS },
      to: { path: '^(test|bench|examples|scripts|dist)/' },
    },
    {
      name: 'public-names-only',
      comment: 'Examples and the dashboard import `pgflow-live` and its subpaths, as users do.',
      severity: 'error',
      from: { path: ['^examples/', '^src/dashboard/app/'] },
      to: { path: '^src/', pathNot: '^src/dashboard/app/', dependencyTypesNot: ['aliased'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    combinedDependencies: false,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['types', 'import', 'node', 'default'],
      extensions: ['.ts', '.tsx', '.js', '.json', '.d.ts'],
    },
  },
};
