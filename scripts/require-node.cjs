// Plain old JavaScript without dependencies: it has to run on the Node versions that it turns away.
var wanted = require('../package.json').engines.node.replace('>=', '').split('.').map(Number);
var found = process.versions.node.split('.').map(Number);
var older =
  found[0] !== wanted[0]
    ? found[0] < wanted[0]
    : found[1] !== wanted[1]
      ? found[1] < wanted[1]
      : found[2] < wanted[2];

if (older) {
  console.error(
    'PgFlow Live needs Node.js ' +
      wanted.join('.') +
      ' or newer; this is ' +
      process.versions.node +
      '. Install a current one from https://nodejs.org, or with your version manager, and run this again.',
  );
  process.exit(1);
}
