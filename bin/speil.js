#!/usr/bin/env node
// Plain JavaScript that an old Node can read too. In a checkout it runs the source, in an installed package the build.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NODE_MIN = 24;
const beside = (path) => fileURLToPath(new URL(path, import.meta.url));
const source = beside('../src/cli/main.ts');
const pinned = beside(`../node_modules/node/bin/node${process.platform === 'win32' ? '.exe' : ''}`);
const HINT = `Install Node ${NODE_MIN} or newer from https://nodejs.org${
  existsSync(source) ? ', or type npm ci in this checkout' : ''
}.`;
const isOldNode = Number(process.versions.node.split('.')[0]) < NODE_MIN;

function runUnderPinnedNode() {
  const child = spawn(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const pass = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, pass);
  child.on('error', (error) => refuse(`The Node of this checkout does not start: ${error.message}`, HINT));
  child.on('exit', (code, signal) => {
    for (const name of signals) process.off(name, pass);
    if (signal) process.kill(process.pid, signal);
    else process.exitCode = code;
  });
}

function refuse(what, hint) {
  process.stderr.write(`error: ${what}\n  hint: ${hint}\n`);
  process.exitCode = 2;
}

function refuseIncomplete(error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  refuse(error.message, existsSync(source) ? 'Type npm ci in this checkout.' : 'Install the package speil again.');
}

/**
 * Compiled code is kept in the user's own cache directory (it is run, so nobody else may write there), which saves half of
 * every start. Made level by level: a place where that cannot be done goes without.
 */
function keepCompiledCode() {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(cache, 'speil', 'compiled');
  if ([cache, join(cache, 'speil'), folder].every(isOrBecomesFolder)) module.enableCompileCache(folder);
}

function isOrBecomesFolder(path) {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    return error.code === 'EEXIST';
  }
}

if (!isOldNode) {
  keepCompiledCode();
  const entry = existsSync(source) ? '../src/cli/main.ts' : '../dist/cli/main.js';
  import(new URL(entry, import.meta.url).href).then(({ main }) => main(), refuseIncomplete);
} else if (existsSync(pinned) && realpathSync(pinned) !== realpathSync(process.execPath)) {
  runUnderPinnedNode();
} else {
  refuse(`Speil needs Node ${NODE_MIN} or newer; this is v${process.versions.node}.`, HINT);
}
