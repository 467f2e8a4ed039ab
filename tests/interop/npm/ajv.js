// Verdicts of Ajv, a validator of JSON Schema:
//
//     node ajv.js <PAIRS
//
// Each line of the input is [SCHEMA, [VALUE, …]]; each of the output is [VERDICT, …].
'use strict';
const Ajv = require(require.resolve('ajv/dist/2020', {paths: [process.cwd()]}));

const ajv = new Ajv({strict: false, validateFormats: false, addUsedSchema: false});
const lines = require('fs').readFileSync(0, 'utf8').trimEnd().split('\n');
for (const line of lines) {
    const [schema, values] = JSON.parse(line);
    const validate = ajv.compile(schema);
    console.log(JSON.stringify(values.map((value) => validate(value))));
}
