// Node's client: node client.js PORT VERSION ROOT. Sends what it reads, prints what it gets.
const tls = require('tls');
const fs = require('fs');
const [port, version, root] = process.argv.slice(2);
const socket = tls.connect({
  host: '127.0.0.1', port: Number(port), servername: 'localhost', ca: fs.readFileSync(root),
  minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version,
});
process.stdin.pipe(socket);
socket.pipe(process.stdout);
socket.on('error', (e) => { console.error(e.message); process.exit(1); });
socket.on('end', () => process.exit(0));
