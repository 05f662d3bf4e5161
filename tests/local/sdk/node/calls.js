// Calls the local CI with the official Node SDK, as a program calls the service; only the keys, the proxy and,
// for https, the trusted certificate differ. Prints one JSON line for each call.
'use strict';

const http = require('http');
const COS = require('cos-nodejs-sdk-v5');

const { BUCKET: Bucket, PROXY, PROTOCOL, SECRET_ID, SECRET_KEY } = process.env;
const Region = 'ap-guangzhou';
const cos = new COS({
  SecretId: SECRET_ID,
  SecretKey: SECRET_KEY,
  Protocol: PROTOCOL,
  Proxy: PROXY,
  StrictSsl: true,
});
const ciHost = `${Bucket}.ci.${Region}.myqcloud.com`;

const xml = (value) => COS.util.json2xml(value);
const object = (Key, more) => ({ Bucket, Region, Key, ...more });

function ci(Method, Key, more) {
  return cos.request({
    Bucket, Region, Method, Key, Url: `${PROTOCOL}//${ciHost}/${Key}`, ContentType: 'application/xml', ...more,
  });
}

function request(tag, input, output, operation) {
  return xml({
    Request: {
      Tag: tag,
      Input: { Object: input },
      Operation: { [tag]: operation, Output: { Region, Bucket, Object: output } },
    },
  });
}

function docJob() {
  const Body = request('DocProcess', 'in/a b+表.docx', 'out/${Number}.pdf', { TgtType: 'pdf' });
  return ci('POST', 'doc_jobs', { Body });
}

function picJob(path) {
  return ci('POST', path, {
    Body: request('PicProcess', 'in/a.png', 'out/a.png', { IsPicInfo: 'true', ProcessRule: 'imageMogr2/format/png' }),
  });
}

async function updateQueue(path) {
  const { Response } = await ci('GET', path, { Query: { pageNumber: 1, pageSize: 10 } });
  const queues = [].concat(Response.QueueList);
  const update = { Name: 'q', State: 'Active', NotifyConfig: { Url: '', State: 'Off', Event: 'TaskFinish' } };
  return ci('PUT', `${path}/${queues[0].QueueId}`, { Body: xml({ Request: update }) });
}

async function finished(path, jobId) {
  for (;;) {
    const { Response } = await ci('GET', `${path}/${jobId}`);
    if (['Success', 'Failed'].includes(Response.JobsDetail.State)) return Response.JobsDetail;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function expectEqual(found, wanted) {
  if (String(found) !== String(wanted)) throw new Error(`${found} is not ${wanted}`);
  return found;
}

// Fetches a signed URL through the proxy, without the SDK.
function fetched(url) {
  return new Promise((resolve, reject) => {
    const proxy = new URL(PROXY);
    http.get({ host: proxy.hostname, port: proxy.port, path: url.replace(/^https:/, 'http:'), headers: { Host: new URL(url).host } },
      (response) => {
        let body = '';
        response.on('data', (part) => { body += part; });
        response.on('end', () => resolve({ status: response.statusCode, body }));
      }).on('error', reject);
  });
}

const key = 'in/a b+表.docx';
const calls = [
  ['putObject', () => cos.putObject(object(key, { Body: 'abc', Headers: { 'x-cos-meta-owner': 'me' } }))],
  ['putObject of a picture', () => cos.putObject(object('in/a.png', { Body: Buffer.from(process.env.PNG, 'base64') }))],
  ['headObject', async () => expectEqual((await cos.headObject(object(key))).headers['x-cos-meta-owner'], 'me')],
  ['getObject', async () => expectEqual((await cos.getObject(object(key))).Body, 'abc')],
  ['getObject of a range', async () => expectEqual((await cos.getObject(object(key, { Range: 'bytes=1-' }))).Body, 'bc')],
  ['getBucket', async () => expectEqual((await cos.getBucket({ Bucket, Region, Prefix: 'in/', Delimiter: '/' })).Contents.length, 2)],
  ['headBucket', () => cos.headBucket({ Bucket, Region })],
  ['uploadFile', () => cos.uploadFile(object('in/file.js', { FilePath: __filename }))],
  ['getObjectUrl', async () => {
    const url = cos.getObjectUrl(object(key, { Sign: true, Query: { 'response-content-type': 'a/b' } }));
    return expectEqual((await fetched(url)).body, 'abc');
  }],
  ['picture while it is downloaded', () => cos.getObject(object('in/a.png', { QueryString: 'imageMogr2/thumbnail/!50p' }))],
  ['imageInfo', () => cos.request(object('in/a.png', { Method: 'GET', Action: 'imageInfo', RawBody: true }))],
  ['pictures made and kept', () => cos.request(object('in/a.png', {
    Method: 'POST', Action: 'image_process',
    Headers: { 'Pic-Operations': JSON.stringify({ is_pic_info: 1, rules: [{ fileid: 'b.png', rule: 'imageMogr2/format/png' }] }) },
  }))],
  ['doc-preview', () => cos.request(object(key, { Method: 'GET', Query: { 'ci-process': 'doc-preview', dstType: 'pdf' }, RawBody: true }))],
  ['describe doc buckets', () => cos.request({ Method: 'GET', Key: 'docbucket', Url: `${PROTOCOL}//ci.${Region}.myqcloud.com/docbucket` })],
  ['doc queue, updated', () => updateQueue('docqueue')],
  ['picture queue, updated', () => updateQueue('picqueue')],
  ['media queue, updated', () => updateQueue('queue')],
  ['doc job', async () => {
    const job = (await docJob()).Response.JobsDetail;
    return expectEqual((await finished('doc_jobs', job.JobId)).State, 'Success');
  }],
  ['doc jobs, listed', async () => {
    const { Response } = await ci('GET', 'doc_jobs', { Query: { tag: 'DocProcess', size: 10, states: 'All' } });
    return expectEqual([].concat(Response.JobsDetail).length, 1);
  }],
  ['picture job', async () => {
    const job = (await picJob('pic_jobs')).Response.JobsDetail;
    return expectEqual((await finished('pic_jobs', job.JobId)).State, 'Success');
  }],
  ['picture job, unified', async () => {
    const job = (await picJob('jobs')).Response.JobsDetail;
    return expectEqual((await finished('jobs', job.JobId)).State, 'Success');
  }],
  ['picture template', () => ci('POST', 'template', {
    Body: xml({ Request: { Tag: 'PicProcess', Name: 't', PicProcess: { IsPicInfo: 'true', ProcessRule: 'imageMogr2/format/png' } } }),
  })],
  ['deleteMultipleObject', () => cos.deleteMultipleObject({ Bucket, Region, Objects: [{ Key: 'in/file.js' }] })],
  ['deleteObject', () => cos.deleteObject(object(key))],
  ['a missing object', async () => cos.headObject(object(key)).then(
    () => { throw new Error('it exists'); }, (error) => expectEqual(error.statusCode, 404))],
  ['what is left out', async () => cos.getObjectTagging(object('in/a.png')).then(
    () => { throw new Error('it is there'); }, (error) => expectEqual(error.statusCode, 501))],
];

(async () => {
  for (const [name, call] of calls) {
    let line = { name, error: null };
    try {
      await call();
    } catch (error) {
      line.error = error.message || JSON.stringify(error.error || error);
    }
    console.log(JSON.stringify(line));
  }
})();
