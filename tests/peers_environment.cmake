# SPDX-License-Identifier: Apache-2.0
# Sets peers_python to the Python of the environment that tools/setup --peers makes, if it is there.
set(peers_python "")
foreach(folder $ENV{OUTFLOW_PEERS_VENV} $ENV{XDG_CACHE_HOME}/outflow/peers
               $ENV{HOME}/.cache/outflow/peers)
  if(NOT peers_python AND EXISTS ${folder}/bin/python)
    set(peers_python ${folder}/bin/python)
  endif()
endforeach()
