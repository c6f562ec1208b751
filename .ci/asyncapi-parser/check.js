// Reads an AsyncAPI document with AsyncAPI's own parser, and prints what it finds. Any finding is an error.
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
for (const { code, message, path } of diagnostics) console.log(`${code}: ${message} (${path.join('.')})`);
const frames = document?.allMessages().all() ?? [];
const without = frames.filter((frame) => frame.examples().isEmpty() || !frame.summary());
for (const frame of without) console.log(`${frame.id()} has no example or summary`);
if (frames.length === 0) console.log('the document has no messages');
process.exit(diagnostics.length + without.length + (frames.length === 0 ? 1 : 0) > 0 ? 1 : 0);
