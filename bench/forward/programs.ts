import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const isInstalled = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

/** What the upstreams answer, by path; anything else gets 56 bytes. */
export const SIZES = { '/56': 56, '/10k': 10_240, '/1m': 1_048_576 }

/** nginx as the two upstreams: fixed bodies, and uploads read and thrown away. */
export function upstreamConfiguration(folder: string, ports: readonly number[]): string {
  const files = join(folder, 'files')
  mkdirSync(files, { recursive: true })
  for (const [path, size] of Object.entries(SIZES)) writeFileSync(join(files, path.slice(1)), 'x'.repeat(size))
  const server = (port: number) => `
    server {
      listen 127.0.0.1:${port} backlog=4096;
      root ${files};
      client_max_body_size 0;
      client_body_buffer_size 2m;
      location / { default_type text/plain; }
      location /upload { proxy_pass http://127.0.0.1:${port}/sink; }
      location /sink { return 200 "${'x'.repeat(56)}"; }
    }`
  return nginx(folder, 'upstream', `sendfile on; keepalive_requests 1000000; ${ports.map(server).join('')}`)
}

/** nginx as a gateway, by the same kind of split. */
export function nginxConfiguration(folder: string, port: number, [a, b]: readonly number[]): string {
  const http = `
    keepalive_requests 1000000;
    split_clients "$http_apikey" $side { 50% a; * b; }
    upstream a { server 127.0.0.1:${a}; keepalive 64; keepalive_requests 1000000; }
    upstream b { server 127.0.0.1:${b}; keepalive 64; keepalive_requests 1000000; }
    server {
      listen 127.0.0.1:${port} backlog=4096;
      client_max_body_size 0;
      proxy_request_buffering off;
      location / {
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_pass http://$side;
      }
    }`
  return nginx(folder, 'gateway', http)
}

function nginx(folder: string, name: string, http: string): string {
  const file = join(folder, `${name}.conf`)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${join(folder, `${name}-${kind}`)};`)
    .join(' ')
  const text = `daemon off; master_process off; worker_processes 1; pid ${join(folder, `${name}.pid`)};
error_log /dev/null crit;
events { worker_connections 8192; }
http { access_log off; ${temporary} ${http} }
`
  writeFileSync(file, text)
  return file
}

export function haproxyConfiguration(folder: string, port: number, [a, b]: readonly number[]): string {
  const file = join(folder, 'haproxy.cfg')
  const text = `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  balance roundrobin
  http-reuse always
  server a 127.0.0.1:${a} weight 50
  server b 127.0.0.1:${b} weight 50
`
  writeFileSync(file, text)
  return file
}
