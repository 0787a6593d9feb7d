// Sends what Node.js programs request from *.aliyuncs.com to the local cloud: node --require THIS_FILE, with LOCAL_CLOUD set
// to the control plane's URL. Serverless Devs' component fc3 has variables for the addresses of Function Compute and of
// the upload of code, but none for RAM and Resource Manager.
'use strict';
const http = require('http');
const https = require('https');

const cloud = new URL(process.env.LOCAL_CLOUD);
const ALIYUN = /(^|\.)aliyuncs\.com$/;

function redirected(original) {
  return function request(...given) {
    const address = typeof given[0] === 'string' ? new URL(given[0]) : given[0] instanceof URL ? given[0] : null;
    const options = { ...(address ? (typeof given[1] === 'object' ? given[1] : {}) : given[0]) };
    const host = options.hostname || (options.host || (address && address.hostname) || '').split(':')[0];
    if (!ALIYUN.test(host)) return original.apply(this, given);
    const path = options.path || (address ? address.pathname + address.search : '/');
    const headers = { ...options.headers };
    if (!Object.keys(headers).some((name) => name.toLowerCase() === 'host')) headers.host = host;
    const local = { ...options, protocol: 'http:', host: cloud.hostname, hostname: cloud.hostname, port: cloud.port };
    delete local.agent;
    const callback = given.find((argument) => typeof argument === 'function');
    return plain.call(http, { ...local, path, headers }, callback);
  };
}

const plain = http.request;
for (const module of [http, https]) {
  module.request = redirected(module.request);
  module.get = (...given) => {
    const request = module.request(...given);
    request.end();
    return request;
  };
}
