import { MangoChat } from "../client/mango-chat.js";
console.log(MangoChat);
