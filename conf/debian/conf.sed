# Makes the packaged /etc/pillion/pillion.conf of conf/pillion.conf: the same, with the places of files
# that a package has. The whole file is one line here (sed -z).
s|\n#\n#     user pillion;|\nuser pillion;|
s|docs/configuration\.md|/usr/share/doc/pillion/configuration.md|
s|\n# Relative paths start at the prefix[^\n]*|\n# Relative paths start at /etc/pillion.|
s|\n# The process id of the master[^\n]*\npid run/pillion\.pid;|\
# The process id of the master, and the socket where `pillion -s` and `pillion status` ask.\
pid     /run/pillion/pillion.pid;\
control /run/pillion/pillion.control;|
s|error_log run/pillion\.log|error_log /var/log/pillion/pillion.log|
s|load_module modules/|load_module /usr/lib/pillion/modules/|g
s|unix:run/|unix:/run/pillion/|g
s|\n\n# ---- What is served|\
# Modules of other packages, such as pillion-module-redis, are enabled as they are installed.\
include /etc/pillion/modules-enabled/*.conf;\
&|
s|\n#\n#     include conf/servers/\*\.conf;|\ninclude /etc/pillion/conf.d/*.conf;|
