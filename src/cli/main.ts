#!/usr/bin/env node
import './require-node.js';

// Not a static import: its own imports would be linked, and fail on an old Node.js, before the check has run.
await import('./program.js');
